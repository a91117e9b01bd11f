"""The front door, with a model that answers "The black cat sits down." and a box to everything."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import vl2
from vl2.api import Model
from vl2.config import ConfigError
from vl2.device import DeviceError, pick_device
from vl2.grammar import GrammarError
from vl2.hub import ModelNotFoundError
from vl2.model.weights import WeightsError, quantize_checkpoint
from vl2.processing.images import ImageError
from vl2.processing.messages import Image as ImagePart
from vl2.processing.messages import Message, Text
from vl2.processing.processor import ProcessorConfig, write_processor
from vl2.processing.prompts import READ_PROMPT, ask_message, ground_message
from vl2.processing.render import ContextError, Prompt, Renderer
from vl2.processing.tokenizer import TokenizerError
from vl2.sampling import SamplingError

TEXT = "The black cat sits down."
RAW = "The <|ref|>black cat<|/ref|><|det|>[[100, 200, 500, 700]]<|/det|> sits down."
PIECES = [
    "The ", "<|ref|>", "black cat", "<|/ref|>", "<|det|>", "[[100, 200, 500, 700]]", "<|/det|>", " sits", " down", ".",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(scripted_checkpoint: Path) -> Model:
    return vl2.load(scripted_checkpoint, local_files_only=True)


@pytest.fixture
def picture() -> Image.Image:
    return Image.new("RGB", (70, 30), "red")


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Message, ...], Prompt]]:
    """Every conversation that is rendered, with its prompt."""
    seen: list[tuple[tuple[Message, ...], Prompt]] = []
    plain = Renderer.render

    def render(self: Renderer, conversation: Any, **options: Any) -> Prompt:
        seen.append((tuple(conversation), plain(self, conversation, **options)))
        return seen[-1][1]

    monkeypatch.setattr(Renderer, "render", render)
    return seen


def test_an_answer(model: Model, picture: Image.Image) -> None:
    answer = model.ask(picture, "What is there?")
    assert (answer.text, answer.raw, answer.finish_reason) == (TEXT, RAW, "stop")
    (region,) = answer.regions
    assert region.label == "black cat"
    assert region.box == pytest.approx((70 * 100 / 999, 30 * 200 / 999, 70 * 500 / 999, 30 * 700 / 999))
    assert answer.image_tokens == 34  # 70x30 fits 76x38: 12 + 1 + 3 * 7
    assert answer.prompt_tokens > answer.image_tokens
    assert answer.completion_tokens == len(PIECES) + 1  # the end token was generated too
    assert 0 < answer.ttft_sec <= answer.total_sec


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", torch.bfloat16])
def test_dtypes(dtype: str | torch.dtype, scripted_checkpoint: Path, picture: Image.Image) -> None:
    loaded = vl2.load(scripted_checkpoint, dtype=dtype, device="cpu")
    assert str(loaded.network.dtype) == f"torch.{dtype}".replace("torch.torch", "torch")
    assert loaded.ask(picture, "?").text == TEXT


def test_json_of_a_schema(model: Model, picture: Image.Image) -> None:
    """As a mapping or as text; a bad schema is found before anything runs."""
    schema: dict[str, Any] = {"type": "object", "properties": {"cats": {"enum": [" sits", 3]}}, "required": ["cats"]}
    schema["additionalProperties"] = False
    for options in ({"json_schema": schema}, {"json_schema": json.dumps(schema)}, {"grammar": model.grammar(schema)}):
        answer = model.ask(picture, "How many cats?", **options)
        assert json.loads(answer.text) in ({"cats": " sits"}, {"cats": 3})
        assert answer.finish_reason == "stop"
    with pytest.raises(GrammarError, match="uniqueItems is not supported"):
        model.ask_stream(picture, "?", json_schema={"uniqueItems": True})
    assert not model.engine.has_work


def test_quantised_models_answer(tmp_path: Path, scripted_checkpoint: Path, picture: Image.Image) -> None:
    """Quantised while they are loaded, or written before."""
    loaded = vl2.load(scripted_checkpoint, quantize="fp8")
    assert loaded.config.quantization_config is not None
    quantize_checkpoint(scripted_checkpoint, tmp_path / "small", "fp8")
    for model in (loaded, vl2.load(tmp_path / "small")):
        assert model.ask(picture, "?").text == TEXT


def test_streaming_gives_the_same_pieces(model: Model, picture: Image.Image) -> None:
    stream = model.ask_stream(picture, "?")
    assert list(stream) == PIECES
    assert stream.answer.raw == RAW
    assert model.ground_stream(picture, "cat").answer.text == TEXT  # the answer alone reads the stream too


def test_what_is_asked(
    model: Model, picture: Image.Image, prompts: list[tuple[tuple[Message, ...], Prompt]], tmp_path: Path
) -> None:
    """Each method is a conversation of one message, and takes images in any form."""
    path = tmp_path / "a.png"
    picture.save(path)
    model.ask([picture, path, str(path)], "How many?")
    model.read(path.read_bytes())
    model.ground(path, "the cat")
    asked = [conversation for conversation, _ in prompts]
    assert asked[0] == (ask_message([picture, path, str(path)], "How many?"),)
    assert asked[1] == (ask_message([path.read_bytes()], READ_PROMPT),)
    assert asked[2] == (ground_message(path, "the cat"),)
    assert [len(prompt.images) for _, prompt in prompts] == [3, 1, 1]


def test_batches(model: Model, picture: Image.Image) -> None:
    conversations = [[ask_message([picture] * n, "?" * (n + 1))] for n in range(3)]
    together = model.chat_batch(conversations)
    assert [answer.raw for answer in together] == [RAW] * 3
    assert [a.prompt_tokens for a in together] == [model.chat(c).prompt_tokens for c in conversations]
    assert together[0].regions == ()  # no image, no boxes in its pixels
    assert model.chat_batch([]) == []


@pytest.mark.parametrize(
    ("stop", "raw", "pieces"),
    [
        ([" sits"], RAW[: -len(" sits down.")], PIECES[:7]),
        (["sits d"], RAW[: -len("sits down.")], PIECES[:7]),  # over a token's end; the answer itself is stripped
        (["black cat<|/r", "zzz"], "The <|ref|>", ["The ", "<|ref|>"]),
        (["The "], "", []),
        (["absent", "The x"], RAW, None),
        (["down!", "down."], RAW[: -len("down.")], None),
    ],
)
def test_stop_strings(stop: list[str], raw: str, pieces: list[str] | None, model: Model, picture: Image.Image) -> None:
    """They end the answer, are cut from it, and nothing of them is ever shown."""
    stream = model.ask_stream(picture, "?", stop=stop)
    shown = list(stream)
    assert stream.answer.raw == raw.strip()
    assert "".join(shown) == raw
    assert stream.answer.finish_reason == "stop"
    if pieces is not None:
        joined = "".join(pieces)
        assert "".join(shown).startswith(joined)


def test_a_stop_string_ends_its_own_sequence_only(model: Model, picture: Image.Image) -> None:
    """Both prompts say the same, so both end; the tokens after the stop string are not computed."""
    answers = model.chat_batch([[ask_message([picture], "?")], [ask_message([], "?")]], stop=["black"])
    assert [answer.raw for answer in answers] == ["The <|ref|>"] * 2
    assert [answer.completion_tokens for answer in answers] == [3, 3]


def test_max_tokens(model: Model, picture: Image.Image) -> None:
    answer = model.ask(picture, "?", max_tokens=3)
    assert (answer.raw, answer.finish_reason, answer.completion_tokens) == ("The <|ref|>black cat", "length", 3)
    exact = model.ask(picture, "?", max_tokens=len(PIECES) + 1)
    assert (exact.raw, exact.finish_reason) == (RAW, "stop")


def test_boxes_cut_off_give_a_warning_and_no_region(model: Model, picture: Image.Image) -> None:
    with pytest.warns(UserWarning, match="no region read"):
        answer = model.ask(picture, "?", max_tokens=6)
    assert answer.regions == ()


def test_context_overflow_gives_both_numbers(model: Model, picture: Image.Image) -> None:
    with pytest.raises(ContextError, match=r"\d+ tokens .* holds 256"):
        model.ask_stream(picture, "x" * 300)  # on the call, not on iterating


@pytest.mark.parametrize(
    ("options", "error"),
    [({"temperature": -1}, SamplingError), ({"top_p": 2.0}, SamplingError), ({"temprature": 1}, TypeError)],
)
def test_sampling_options_are_checked(
    options: dict[str, Any], error: type[Exception], model: Model, picture: Image.Image
) -> None:
    with pytest.raises(error, match=next(iter(options))):
        model.ask(picture, "?", **options)


def test_pixel_limit(scripted_checkpoint: Path, picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.png")
    model = vl2.load(scripted_checkpoint, max_pixels=2000)
    with pytest.raises(ImageError, match=r"2,?000"):
        model.ask(tmp_path / "a.png", "?")


def test_conversations_remember(model: Model, picture: Image.Image) -> None:
    first = Message("user", (ImagePart(picture), Text("\nWhat?")))
    said = [first, Message("assistant", (Text(TEXT),)), Message("user", (Text("And now?"),))]
    assert model.chat(said).raw == RAW
    assert model.chat(said).prompt_tokens > model.chat([first]).prompt_tokens + len(TEXT) // 4


def test_progress(scripted_checkpoint: Path) -> None:
    seen: list[tuple[int, int]] = []
    vl2.load(scripted_checkpoint, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == len(seen)


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "", "cpu:zero", "meta"])
def test_unknown_devices(device: str) -> None:
    with pytest.raises(DeviceError, match=f"device = '{device}'"):
        pick_device(device)


def test_absent_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match="device = 'cuda': not available here"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto") == torch.device("cuda")
    with pytest.raises(DeviceError, match="device = 'cuda:1': this machine has 1"):
        pick_device("cuda:1")


@pytest.mark.parametrize("dtype", ["float8", "int8", "half", torch.int8])
def test_unknown_dtypes(dtype: str | torch.dtype, scripted_checkpoint: Path) -> None:
    with pytest.raises(DeviceError, match="dtype = "):
        vl2.load(scripted_checkpoint, dtype=dtype)


def test_broken_checkpoints(scripted_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        vl2.load(tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(scripted_checkpoint, folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        vl2.load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        vl2.load(folder)
    shutil.copy(scripted_checkpoint / "tokenizer.json", folder)
    next(folder.glob("*.safetensors")).write_bytes(b"")
    with pytest.raises(WeightsError):
        vl2.load(folder)


def test_tokenizer_with_more_ids_than_embeddings(scripted_checkpoint: Path, tmp_path: Path, make_model: Any) -> None:
    from vl2.model.weights import save

    save(make_model("tiny", vocab_size=260), tmp_path / "model")
    shutil.copy(scripted_checkpoint / "tokenizer.json", tmp_path / "model")
    with pytest.raises(ValueError, match=r"vocab_size = 260: .*tokenizer\.json has \d+ ids"):
        vl2.load(tmp_path / "model")


def test_import_is_lazy() -> None:
    assert vl2.load is vl2.api.load
    assert vl2.Model is Model
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        vl2.lod  # noqa: B018


def test_processor_config_that_contradicts_the_model_is_refused(scripted_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(scripted_checkpoint, folder)
    loaded = vl2.load(folder, local_files_only=True)
    other = dataclasses.replace(ProcessorConfig.of(loaded.config), downsample_ratio=7)
    write_processor(other, folder)
    with pytest.raises(ConfigError, match="downsample_ratio = 7"):
        vl2.load(folder, local_files_only=True)
