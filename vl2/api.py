"""The front door: load a model, ask it about images.

model = vl2.load("nano")
model.ask("receipt.png", "What is the total?").text
model.ground("receipt.png", "the total").regions[0].box

conversation --render--> Prompt --Engine--> tokens --Detokenizer--> pieces of text, ... Answer
"""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PILImage

from vl2.config import read_config
from vl2.device import pick_device, pick_dtype
from vl2.engine.detokenizer import Detokenizer
from vl2.engine.engine import Engine
from vl2.engine.lockstep import Lockstep, in_lockstep
from vl2.engine.types import StepOutput
from vl2.extraction import Extraction, ExtractionError, extract
from vl2.grammar import Grammar, Grammars
from vl2.hub import find_model
from vl2.kernels.team import TeamError, join, local_rank
from vl2.model.lora import ADAPTER_CONFIG, AdapterError, adapter_base, fold, read_adapter
from vl2.model.vl2 import VL2
from vl2.model.weights import load as load_weights
from vl2.processing.boxes import Region, parse_regions
from vl2.processing.documents import Document, choose_pages, open_document
from vl2.processing.messages import Image, Message, Text
from vl2.processing.processor import PROCESSOR_FILE, read_processor, read_tokenizer
from vl2.processing.prompts import READ_PROMPT, Source, ask_message, ground_message
from vl2.processing.render import Prompt, Renderer
from vl2.processing.tokenizer import Tokenizer
from vl2.sampling import FinishReason, SamplingParams

_READING = {"max_tokens": 1024, "stop_repetition": True}
_PAGES_AT_ONCE = 8  # some 40 MB of tiles; more make the device little faster and the first page wait


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    text: what was said, without tags. raw: with the tags of phrases and boxes.
    regions: labelled boxes in pixels of the conversation's last image.
    finish_reason: "stop" (the model or a stop string ended it), "length" (max_tokens or the context did) or
        "repetition" (it went round in circles and was cut after the second time, see `SamplingParams.stop_repetition`).
    prompt_tokens, image_tokens, completion_tokens: image tokens are among the prompt's.
    ttft_sec, total_sec: from the call to the first token, and to the last.
    """

    text: str
    raw: str
    regions: tuple[Region, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    image_tokens: int
    completion_tokens: int
    ttft_sec: float
    total_sec: float


@dataclass(frozen=True)
class PageAnswer:
    """What a page of a document says: an answer, or in one line why there is none.

    number: of the page, from 1.
    """

    number: int
    answer: Answer | None
    error: str | None = None


class Reply:
    """One answer in the making. Build with `Model.reply`."""

    def __init__(self, prompt: Prompt, detokenizer: Detokenizer) -> None:
        self._prompt, self._detokenizer = prompt, detokenizer
        self._start = time.perf_counter()
        self._ttft: float | None = None

    @property
    def raw(self) -> str:
        """All text so far, with tags, also what `push` still holds back."""
        return self._detokenizer.text

    def push(self, output: StepOutput) -> str:
        """Take one token; returns text that is certain to belong to the answer."""
        if self._ttft is None:
            self._ttft = time.perf_counter() - self._start
        return self._detokenizer.push(output.token_id, output.finish)

    def answer(self) -> Answer | None:
        """The answer, if it is complete."""
        if self._detokenizer.finish is None:
            return None
        assert self._ttft is not None
        images, text = self._prompt.images, self._detokenizer.text
        regions, plain = parse_regions(text, images[-1].size if images else (1, 1))
        return Answer(
            text=plain.strip(),
            raw=text.strip(),
            regions=tuple(regions) if images else (),
            finish_reason=self._detokenizer.finish,
            prompt_tokens=len(self._prompt.input_ids),
            image_tokens=sum(length for _, length in self._prompt.spans),
            completion_tokens=self._detokenizer.num_tokens,
            ttft_sec=self._ttft,
            total_sec=time.perf_counter() - self._start,
        )


class Stream:
    """Iterate over pieces of text; `answer` holds the finished answer once they are exhausted."""

    def __init__(self, pieces: Iterator[str | Answer]) -> None:
        self._pieces = pieces
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            if isinstance(piece, Answer):
                self._answer = piece
            elif piece:
                yield piece

    @property
    def answer(self) -> Answer:
        """The finished answer; reads the rest of the stream if there is any."""
        for _ in self:
            pass
        assert self._answer is not None
        return self._answer


class Model:
    """A loaded model with its tokenizer. Build with `vl2.load`.

    Sampling options of every method are the fields of `SamplingParams`: temperature, top_p, top_k,
    repetition_penalty, seed, max_tokens, stop, stop_repetition; and json_schema, a mapping or text: the answer is then
    JSON of this schema unless its finish reason is "length" (`vl2.grammar`). The default is greedy. A model belongs to
    one thread, as its engine. Of a network that several ranks hold together (`load`), only the first rank's process
    goes on from here; the others follow its engine and end with it.

    Args:
        max_pixels: limit on the size of images.
        engine: options of `vl2.engine.engine.Engine`.
    """

    def __init__(
        self, network: VL2, tokenizer: Tokenizer, max_pixels: int | None = None, engine: Mapping[str, Any] | None = None
    ) -> None:
        self.network, self.tokenizer, self.config = network, tokenizer, network.config
        self.max_pixels, self._engine_options = max_pixels, dict(engine or {})
        self.renderer = Renderer(tokenizer, network.config, max_pixels)
        self._lockstep = in_lockstep(network.team, self._build)

    def ask(self, images: Source | Sequence[Source], question: str, **sampling: Any) -> Answer:
        """Answer a question about one or several images."""
        return self.chat([ask_message(_as_list(images), question)], **sampling)

    def ask_stream(self, images: Source | Sequence[Source], question: str, **sampling: Any) -> Stream:
        """As `ask`, piece by piece."""
        return self.chat_stream([ask_message(_as_list(images), question)], **sampling)

    def read(self, image: Source, **sampling: Any) -> Answer:
        """All text of an image; an answer that repeats itself endlessly is cut."""
        return self.ask(image, READ_PROMPT, **{**_READING, **sampling})

    def read_document(
        self,
        source: Source | Document,
        pages: str | Iterable[int] | None = None,
        max_pages: int | None = None,
        **sampling: Any,
    ) -> Iterator[PageAnswer]:
        """All text of a PDF, a TIFF or an image, page by page in the order in which they are done.

        Several pages are read at once, and no more than those are rendered and kept. One that cannot be read has an
        error instead of an answer. Bad input raises here, not while iterating.

        Args:
            source: path, bytes, or what `open_document` gave, which then stays open.
            pages: as "1-3,7", "5-" or numbers from 1; None is all.
            max_pages: limit on how many are read; None is 500.
        """
        params = self._params({**_READING, **sampling})
        document = source if isinstance(source, Document) else open_document(source, self.max_pixels)
        try:
            numbers = choose_pages(document, pages, max_pages)
        except ValueError:
            if document is not source:
                document.close()
            raise
        return self._read_pages(document, numbers, params, close=document is not source)

    def extract(
        self, image: Source, schema: Mapping[str, Any] | str, *, at_once: bool = False, **sampling: Any
    ) -> Extraction:
        """A value that meets a JSON schema, as far as the model can read it off an image (`vl2.extraction`).

        Fields of an object are asked for one by one, by their description, title or name; `at_once` asks for all of the
        JSON in one answer, as is done with schemas that have no such fields.

        Raises: GrammarError for a schema that cannot be enforced, ExtractionError if the JSON was cut.
        """
        tiled = self.renderer.tile(image)

        def ask(questions: Sequence[str], grammar: Grammar | None) -> list[str]:
            options = {**sampling, "grammar": grammar, "stop_repetition": True}
            messages = [[Message("user", (Image(tiled), Text(f"\n{question}")))] for question in questions]
            # all others find the image of the first in the cache
            answers = [answer for part in (messages[:1], messages[1:]) for answer in self.chat_batch(part, **options)]
            for question, answer in zip(questions, answers, strict=True):
                if grammar and answer.finish_reason != "stop":
                    raise ExtractionError(
                        f"no JSON after {answer.completion_tokens} tokens (finish reason {answer.finish_reason}) to "
                        f"{question[:80]!r}; raise max_tokens, or limit texts and lists in the schema"
                    )
            return [answer.raw if grammar else answer.text for answer in answers]

        return extract(ask, self._grammars, schema, at_once)

    def ground(self, image: Source, phrase: str, **sampling: Any) -> Answer:
        """Boxes of what a phrase describes; no regions when it is not there."""
        return self.chat([ground_message(image, phrase)], **sampling)

    def ground_stream(self, image: Source, phrase: str, **sampling: Any) -> Stream:
        """As `ground`, piece by piece (tagged text; boxes are in `Stream.answer`)."""
        return self.chat_stream([ground_message(image, phrase)], **sampling)

    def chat(self, messages: Sequence[Message], **sampling: Any) -> Answer:
        """The next answer of a conversation that ends with a message of the user."""
        return self.chat_batch([messages], **sampling)[0]

    def chat_stream(self, messages: Sequence[Message], **sampling: Any) -> Stream:
        """As `chat`, piece by piece. Bad input raises here, not while iterating."""
        params = self._params(sampling)
        prompt = self.renderer.render(messages, for_generation=True)
        self.engine.check(prompt, params)
        return Stream(piece for _, piece in self._run([prompt], params))

    def chat_batch(self, conversations: Sequence[Sequence[Message]], **sampling: Any) -> list[Answer]:
        """Answers to several conversations, decoded together; the same as one by one."""
        params = self._params(sampling)
        prompts = [self.renderer.render(messages, for_generation=True) for messages in conversations]
        answers = {number: piece for number, piece in self._run(prompts, params) if isinstance(piece, Answer)}
        return [answers[number] for number in range(len(prompts))]

    @cached_property
    def engine(self) -> Engine:
        """What all methods run on; built when first needed."""
        if self._lockstep:
            self._lockstep.tell("build")
            self._lockstep.flush()
        return self._build(self._lockstep)

    def _build(self, lockstep: Lockstep | None) -> Engine:
        return Engine(self.network, self.tokenizer.special.eos, **self._engine_options, lockstep=lockstep)

    def grammar(self, schema: Mapping[str, Any] | str) -> Grammar:
        """What makes answers JSON of this schema, for `SamplingParams.grammar`; compiled once.

        Raises GrammarError for what cannot be enforced, and if llguidance is not installed.
        """
        return self._grammars.of(schema)

    @cached_property
    def _grammars(self) -> Grammars:
        return Grammars(self.tokenizer)

    def _params(self, sampling: dict[str, Any]) -> SamplingParams:
        options = dict(sampling)
        if isinstance(options.get("stop"), list):
            options["stop"] = tuple(options["stop"])
        if (schema := options.pop("json_schema", None)) is not None:
            options["grammar"] = self.grammar(schema)
        return SamplingParams(**options)

    def _read_pages(
        self, document: Document, numbers: list[int], params: SamplingParams, close: bool
    ) -> Iterator[PageAnswer]:
        replies: dict[int, tuple[int, Reply]] = {}  # request of the stream -> page, of those under way
        failed: list[PageAnswer] = []

        def requests() -> Iterator[tuple[Prompt, SamplingParams]]:
            count = itertools.count()
            for number in numbers:
                try:
                    image = document.page(number, self.config.candidate_resolutions)
                    prompt = self.renderer.render([ask_message([image], READ_PROMPT)], for_generation=True)
                    self.engine.check(prompt, params)
                except ValueError as error:  # the other pages are read all the same
                    failed.append(PageAnswer(number, None, str(error)))
                else:
                    replies[next(count)] = number, self.reply(prompt, params)
                    yield prompt, params

        try:
            with contextlib.closing(self.engine.stream_lazily(requests(), _PAGES_AT_ONCE)) as outputs:
                for request, output in outputs:
                    if request not in replies:  # drafts may bring more tokens after the end
                        continue
                    number, reply = replies[request]
                    reply.push(output)
                    if answer := reply.answer():
                        self.engine.abort(output.request_id)
                        del replies[request]
                        yield PageAnswer(number, answer)
                    while failed:
                        yield failed.pop(0)
            yield from failed
        finally:
            if close:
                document.close()

    def reply(self, prompt: Prompt, params: SamplingParams) -> Reply:
        """What makes an answer of the tokens of a request, for whoever runs the engine himself."""
        eos = self.tokenizer.special.eos
        return Reply(prompt, Detokenizer(self.tokenizer, params.stop, eos, params.stop_repetition))

    def _run(self, prompts: Sequence[Prompt], params: SamplingParams) -> Iterator[tuple[int, str | Answer]]:
        replies = [self.reply(prompt, params) for prompt in prompts]
        for number, output in self.engine.stream(list(prompts), [params] * len(prompts)):
            yield number, replies[number].push(output)
            if answer := replies[number].answer():
                self.engine.abort(output.request_id)  # a stop string may have ended it early
                yield number, answer


def load(
    name_or_path: str | Path = "nano",
    *,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    quantize: str | None = None,
    adapter: str | Path | None = None,
    local_files_only: bool = False,
    revision: str | None = None,
    max_pixels: int | None = None,
    engine: Mapping[str, Any] | None = None,
    progress: Any = None,
) -> Model:
    """Load a model.

    If `torchrun --nproc-per-node N` started this program, its N processes hold the model together, a device each: every
    process runs the program as far as this call, and only the first one beyond it. That is so for the first model
    that a program loads, unless torch.distributed is at work already.

    Args:
        name_or_path: "nano" (in the package), "tiny", "small", "base", a directory in official layout, or a hub id; or
            the directory of an adapter, which knows what it belongs to.
        device: "auto" (CUDA if present), "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32", "bfloat16", "float16".
        quantize: "fp8" or "int4" for the routed experts, or on a CPU "int8" for these and the linear layers of the
            language model, quantised one by one while they are read; what `vl2 quantize` wrote is recognised and needs
            nothing here.
        adapter: directory of a LoRA adapter in PEFT's format, added to the weights (needs `pip install 'vl2[lora]'`).
        local_files_only: never touch the network.
        max_pixels: limit on the size of images, against decompression bombs.
        engine: options of `vl2.engine.engine.Engine`, for example {"cache_bytes": 8 << 30}.
        progress: called with (tensors loaded, tensors in all).
    """
    if adapter is None and (Path(name_or_path) / ADAPTER_CONFIG).exists():
        adapter, name_or_path = name_or_path, adapter_base(Path(name_or_path))
    path = find_model(name_or_path, local_files_only=local_files_only, revision=revision)
    place = pick_device(device, local_rank())
    kind = pick_dtype(dtype, place)
    config = read_config(path / "config.json")
    tokenizer = read_tokenizer(path, config)
    if (path / PROCESSOR_FILE).exists():
        read_processor(path).require_match(config)
    if adapter is not None and (quantize or config.quantization_config):
        raise AdapterError(f"{adapter}: cannot be added to quantised weights; run vl2 merge, then quantise the result")
    if adapter is not None and local_rank() is not None:
        raise TeamError(f"{adapter}: cannot be added to a divided model; run vl2 merge first, or one process")
    network = load_weights(path, place, kind, progress, quantize, join(place))
    if adapter is not None:
        read_adapter(network, Path(adapter))
        fold(network)
    return Model(network, tokenizer, max_pixels, engine)


def _as_list(images: Source | Sequence[Source]) -> list[Source]:
    single = isinstance(images, str | bytes | Path | PILImage.Image)
    return [images] if single else list(images)  # type: ignore[list-item, arg-type]
