"""Requests in, tokens out, many at a time.

    submit --> Scheduler --chunks--> Runner --a step under way--> tokens --> StepOutput, ...
    stream(prompts) = submit, step until they are done, whoever else's requests step along

On a GPU the host runs one step ahead: it launches a step before it has seen what the last one chose. Whoever turns out
to have ended has then been computed once too often, and that token is dropped. The traps: an engine belongs to one
thread, and a server runs it in a thread of its own; a request whose tokens the host has to choose (penalties, logprobs)
makes everyone wait for the host.
"""

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vl2.engine.blocks import BlockPool, PrefixKeys
from vl2.engine.image_cache import digest
from vl2.engine.lockstep import Lockstep
from vl2.engine.paged_cache import cached_width
from vl2.engine.runner import Runner, Step
from vl2.engine.scheduler import Scheduler
from vl2.engine.speculation import PromptLookup
from vl2.engine.types import CapacityError, Chunk, EngineStats, Sequence, StepOutput, TokenLogprob
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.sampling import FinishReason, Sampler, SamplingParams, on_device

_GPU_SHARE = 0.85  # of the memory that is free when the engine is built
_ENCODED_AHEAD = 2  # requests whose images are encoded while they wait
_PATIENCE = 8  # steps; where steps that only decode are graphs, one that does not takes the host longer than the device
_CPU_BYTES = 1 << 30  # at most; memory that no request reaches is never touched


class Engine:
    """Continuous batching over one model.

    Args:
        model: its weights stay where they are.
        eos_id: token that ends an answer.
        cache_bytes: of keys and values; None takes room for the longest requests of all that may run, if there is any.
        block_size: tokens of a block of the cache.
        max_running: requests that may run at a time.
        step_tokens: tokens that one step may compute; more make prompts faster and keep others waiting longer. None is
            2048, or 4096 on CUDA, where prompts of a step read all weights once more.
        image_cache_bytes: limit on the embeddings of images kept for the next question about them.
        prefix_cache: whether a prompt may reuse what is cached of the beginning that it shares with another.
        speculate: most tokens that a step may guess for each greedy request, from what repeats in it; 0 for none.
        deterministic: an answer is the same to the last bit whatever else runs at the same time. Slower: nothing goes
            through the model together, no prefix is shared and nothing guessed.
        graphs: whether steps are replayed as CUDA graphs; for comparisons.
        run_ahead: whether a step is launched before the last one's tokens are known; None where that helps, on CUDA.
        encode_beside: whether images of requests that wait are encoded while others decode; None likewise. Not if
            several ranks hold the model together, since when an image is ready differs among them.
        lockstep: tells other ranks what this engine does; without it they must all do the same by themselves.
    """

    def __init__(
        self,
        model: VL2,
        eos_id: int,
        *,
        cache_bytes: int | None = None,
        block_size: int = 64,
        max_running: int = 64,
        step_tokens: int | None = None,
        image_cache_bytes: int = 256 << 20,
        prefix_cache: bool = True,
        speculate: int = 0,
        deterministic: bool = False,
        graphs: bool = True,
        run_ahead: bool | None = None,
        encode_beside: bool | None = None,
        lockstep: Lockstep | None = None,
    ) -> None:
        self.model, self.eos_id, self._lockstep = model, eos_id, lockstep
        token_bytes = _token_bytes(model)
        block_bytes = token_bytes * block_size
        if cache_bytes is None:
            cache_bytes = _default_bytes(model, token_bytes, max_running)
        if model.team is not None:
            cache_bytes = model.team.least(cache_bytes)
        num_blocks = cache_bytes // block_bytes
        if num_blocks < 1:
            raise CapacityError(f"cache_bytes = {cache_bytes}: one block of {block_size} tokens needs {block_bytes}")
        self._block_size = block_size
        if step_tokens is None:
            step_tokens = max(4096 if model.device.type == "cuda" else 2048, max_running)
        self.pool = BlockPool(num_blocks)
        if deterministic and speculate:
            raise ValueError(f"speculate = {speculate}: must be 0 with deterministic")
        self.scheduler = Scheduler(
            self.pool, block_size, max_running=max_running, step_tokens=step_tokens,
            prefix_cache=prefix_cache and not deterministic, deterministic=deterministic,
        )  # fmt: skip
        self.runner = Runner(model, num_blocks, block_size, image_cache_bytes, max_running, deterministic, graphs)
        if self.runner.use_graphs:
            self.scheduler.patience = _PATIENCE
        cuda = model.device.type == "cuda"
        run_ahead = cuda if run_ahead is None else run_ahead
        encode_beside = cuda if encode_beside is None else encode_beside
        self._run_ahead = run_ahead and not speculate and not deterministic  # those need to know the newest token
        self._encode_beside = encode_beside and not deterministic and model.team is None
        self.scheduler.is_ready = self.runner.images.is_ready
        self._under_way: Step | None = None
        self._ids = itertools.count()
        self._sequences: dict[int, Sequence] = {}
        self._samplers: dict[int, Sampler] = {}
        self._lookups: dict[int, PromptLookup] = {}
        self._speculate = speculate
        self._inboxes: dict[int, deque[StepOutput]] = {}
        self._num_steps = self._num_computed = self._num_generated = self._num_drafts = self._num_accepted = 0

    def prepare(self) -> None:
        """Do now what the first requests would otherwise wait for: compile kernels and capture graphs, on CUDA."""
        self._tell("prepare")
        with self._naming_lost_ranks("preparation"):
            self.runner.prepare(self.scheduler.step_tokens)

    def is_alive(self) -> bool:
        """Whether the device still computes; after some errors it never does again in this process.

        Asked after a step failed. Where ranks hold a model together, others may have done that step.
        """
        if self.model.team is not None:
            return False
        try:
            return float(torch.ones(1, device=self.model.device)) == 1
        except RuntimeError:
            return False

    def check(self, prompt: Prompt, params: SamplingParams) -> int:
        """How many tokens the answer may have at most; raises CapacityError as `submit` would."""
        context = self.model.config.language_config.max_position_embeddings
        length = len(prompt.input_ids)
        if length >= context:
            raise CapacityError(
                f"a prompt of {length} tokens leaves no room for an answer: the model's context holds {context}"
            )
        limit = min(params.max_tokens, context - length)
        self.scheduler.check(length, limit)
        return limit

    def submit(self, prompt: Prompt, params: SamplingParams) -> int:
        """Queue a request; returns its number. Raises CapacityError if the cache could never hold it."""
        limit = self.check(prompt, params)
        digests = tuple(digest(image) for image in prompt.images)
        keys = PrefixKeys(self._block_size, prompt.spans, digests)
        sampler = Sampler(params, prompt.input_ids)
        sequence = Sequence(next(self._ids), prompt, params, limit, sampler.draw, digests, keys)
        self.scheduler.add(sequence)
        self._sequences[sequence.request_id] = sequence
        if not on_device(params):
            self._samplers[sequence.request_id] = sampler
        if self._lockstep:
            self._lockstep.submit(prompt, params, sampler.seed)
        return sequence.request_id

    def abort(self, request_id: int) -> None:
        """Drop a request wherever it is; one that is done, or never was, is no error."""
        if request_id in self._sequences:
            if self._lockstep:
                self._lockstep.tell("abort", request_id)
            self._drop(request_id)

    def _drop(self, request_id: int) -> None:
        sequence = self._sequences.pop(request_id, None)
        if sequence is not None:
            self._samplers.pop(request_id, None)
            self._lookups.pop(request_id, None)
            self.scheduler.finish(sequence)
            self.runner.images.forget(sequence)

    @property
    def has_work(self) -> bool:
        return bool(self._sequences)

    def step(self) -> list[StepOutput]:
        """Launch a step and return the tokens of the last one, or of this one where the host does not run ahead.

        One token for each request past its prompt, or more with drafts; none while the first step is under way.
        """
        self._tell("step")
        with self._naming_lost_ranks(f"step {self._num_steps}, {len(self._sequences)} requests"):
            return self._step()

    def _step(self) -> list[StepOutput]:
        ahead = self._run_ahead and not self._samplers
        outputs = [] if ahead else self._collect()
        if self._speculate:
            self._propose()
        launched = self._launch()
        if ahead:
            outputs = self._collect()
        self._under_way = launched
        return outputs if ahead else outputs + self._collect()

    @contextmanager
    def _naming_lost_ranks(self, where: str) -> Iterator[None]:
        """Errors of a device whose kernels gave up waiting for another rank say so; see `Team.explain`."""
        try:
            yield
        except RuntimeError as error:
            if self.model.team is not None:
                self.model.team.explain(error, where)
            raise

    def _tell(self, name: str) -> None:
        """Let other ranks do what this one is about to do."""
        if self._lockstep:
            self._lockstep.tell(name)
            self._lockstep.flush()

    def _launch(self) -> Step | None:
        if self._encode_beside and self.scheduler.running:
            for sequence, num_cached in self.scheduler.upcoming(_ENCODED_AHEAD):
                self.runner.images.begin(sequence, num_cached)
        chunks = self.scheduler.schedule()
        if not chunks:
            return None
        step = self.runner.launch(chunks)
        for chunk in chunks:
            self.scheduler.advance(chunk)
        self._num_steps += 1
        self._num_computed += sum(chunk.count for chunk in chunks)
        return step

    def _collect(self) -> list[StepOutput]:
        """Wait for the step under way, if there is one."""
        step, self._under_way = self._under_way, None
        if step is None:
            return []
        tokens = step.wait()
        outputs: list[StepOutput] = []
        row = 0
        for chunk, num_choices in step.chunks:
            rows = slice(row, row + num_choices)
            row = rows.stop
            if num_choices and chunk.sequence.request_id in self._sequences:
                outputs += self._accept(chunk, tokens[rows], step.logits_SV, rows.start)
        self._num_generated += len(outputs)
        return outputs

    def stream(
        self, prompts: list[Prompt], params: list[SamplingParams]
    ) -> Generator[tuple[int, StepOutput], None, None]:
        """Outputs of these prompts as they come, each with the prompt's place in the list.

        Closing the iterator aborts what is left. A request that was aborted meanwhile has no more outputs.
        """
        requests = list(zip(prompts, params, strict=True))
        return self._stream(iter(requests), at_most=len(prompts), each_step=len(prompts))

    def stream_lazily(
        self, requests: Iterable[tuple[Prompt, SamplingParams]], at_most: int
    ) -> Generator[tuple[int, StepOutput], None, None]:
        """As `stream`, with at most so many requests under way; the next is taken when there is room.

        One before each step, so that the device computes while the host prepares a prompt.
        """
        return self._stream(iter(requests), at_most, each_step=1)

    def _stream(
        self, requests: Iterator[tuple[Prompt, SamplingParams]], at_most: int, each_step: int
    ) -> Generator[tuple[int, StepOutput], None, None]:
        numbers: dict[int, int] = {}  # of requests under way
        count = itertools.count()
        try:
            while True:
                room = min(each_step, at_most - len(numbers))
                for prompt, options in itertools.islice(requests, room):
                    request_id = self.submit(prompt, options)
                    numbers[request_id] = next(count)
                    self._inboxes[request_id] = deque()
                if not numbers:
                    return
                if not any(self._inboxes[i] for i in numbers):
                    for output in self.step():
                        if output.request_id in self._inboxes:
                            self._inboxes[output.request_id].append(output)
                for request_id, number in list(numbers.items()):
                    inbox = self._inboxes[request_id]
                    while inbox:
                        yield number, inbox.popleft()
                    if request_id not in self._sequences:
                        del numbers[request_id], self._inboxes[request_id]
        finally:
            for request_id in numbers:
                self._inboxes.pop(request_id, None)
                self.abort(request_id)

    def stats(self) -> EngineStats:
        scheduler, runner = self.scheduler, self.runner
        return EngineStats(
            num_running=len(scheduler.running),
            num_waiting=len(scheduler.waiting),
            num_blocks=self.pool.num_blocks,
            num_free_blocks=self.pool.num_free,
            num_steps=self._num_steps,
            num_computed_tokens=self._num_computed,
            num_cached_tokens=scheduler.num_cached_tokens,
            num_generated_tokens=self._num_generated,
            num_preemptions=scheduler.num_preemptions,
            num_drafts=self._num_drafts,
            num_accepted_drafts=self._num_accepted,
            num_encoded_images=runner.images.num_encoded,
            num_reused_images=runner.images.num_reused,
        )

    def _accept(self, chunk: Chunk, chosen: list[int], logits_SV: Tensor, first: int) -> list[StepOutput]:
        """The next tokens of a sequence, as far as its drafts were right, and one more; it goes on with them or ends.

        Args:
            chosen: on the device, for each choice of the chunk.
            logits_SV: of all choices of the step, the chunk's from row `first` on.
        """
        sequence = chunk.sequence
        outputs: list[StepOutput] = []
        drafts = sequence.drafts[: chunk.num_drafts]
        sampler = self._samplers.get(sequence.request_id)
        for number, token_id in enumerate(chosen):
            if sampler:
                choose, logits_V = sampler.choose, logits_SV[first + number]
                token_id = self._lockstep.token(choose, logits_V) if self._lockstep else choose(logits_V)
            finish: FinishReason | None = None
            if token_id == self.eos_id:
                finish = sampler.end if sampler else "stop"
            elif sequence.num_generated + number + 1 >= sequence.limit:
                finish = "length"
            outputs.append(_output(sequence, token_id, finish, logits_SV, first + number))
            if finish or number == len(drafts) or token_id != drafts[number]:
                break
        self.scheduler.accept(sequence, [output.token_id for output in outputs])
        if drafts:
            self._num_drafts += len(drafts)
            self._num_accepted += len(outputs) - 1
            self._lookups[sequence.request_id].record(sequence.tokens, len(drafts), len(outputs) - 1)
        sequence.drafts = []
        if outputs[-1].finish:
            self._drop(sequence.request_id)  # as every rank does
        return outputs

    def _propose(self) -> None:
        """Drafts for greedy sequences that are past their prompt."""
        for sequence in self.scheduler.running:
            if sequence.num_left == 1 and sequence.num_generated and _is_greedy(sequence):
                lookup = self._lookups.setdefault(
                    sequence.request_id, PromptLookup(self._speculate, _placeholder(sequence.prompt))
                )
                sequence.drafts = lookup.propose(sequence.tokens, sequence.limit - sequence.num_generated - 1)


def _is_greedy(sequence: Sequence) -> bool:
    """Whether the likeliest token is the one that is chosen."""
    return sequence.params.temperature == 0 and sequence.params.repetition_penalty == 1


def _placeholder(prompt: Prompt) -> int | None:
    return prompt.input_ids[prompt.spans[0][0]] if prompt.spans else None


def _output(sequence: Sequence, token_id: int, finish: FinishReason | None, logits_SV: Tensor, row: int) -> StepOutput:
    count, found = sequence.params.logprobs, sequence.num_found or 0
    if count is None:
        return StepOutput(sequence.request_id, token_id, finish, num_found=found)
    logprobs_V = logits_SV[row].log_softmax(-1)
    top = logprobs_V.topk(count)
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    likeliest = tuple(TokenLogprob(*pair) for pair in pairs)
    return StepOutput(sequence.request_id, token_id, finish, float(logprobs_V[token_id]), likeliest, found)


def _token_bytes(model: VL2) -> int:
    """Bytes of the cache for one token."""
    width = cached_width(model.config.language_config, model.team.count if model.team else 1)
    return model.config.language_config.num_hidden_layers * width * model.dtype.itemsize


def _default_bytes(model: VL2, token_bytes: int, max_running: int) -> int:
    """Room for the longest request of everyone who may run, if the device has it; for one in any case."""
    longest = model.config.language_config.max_position_embeddings * token_bytes
    spare = _CPU_BYTES
    if model.device.type == "cuda":
        spare = int(torch.cuda.mem_get_info(model.device)[0] * _GPU_SHARE)
    return max(min(max_running * longest, spare), longest)
