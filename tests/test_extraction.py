"""`Model.extract` and `vl2 extract`: Nano reads fields, a model that says one thing to all shows what is forced."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import vl2
import vl2.cli_extract  # adds its command
from vl2.api import Model
from vl2.cli import app
from vl2.extraction import ExtractionError
from vl2.grammar import GrammarError
from vl2.processing.prompts import ask_message

RECEIPT = Path(__file__).parent.parent / "examples" / "receipt.png"
TEXT = "The black cat sits down."  # what the scripted model says


def schema_of(required: bool = True, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties) if required else [],
        "additionalProperties": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def scripted(scripted_checkpoint: Path) -> Model:
    return vl2.load(scripted_checkpoint, device="cpu", local_files_only=True)


@pytest.fixture
def picture() -> Image.Image:
    return Image.new("RGB", (70, 30), "red")


@pytest.fixture
def run(scripted_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    on = ["--model", scripted_checkpoint, "--device", "cpu", "--local-files-only"]

    def start(schema: dict[str, Any], *arguments: object) -> Result:
        Path("schema.json").write_text(json.dumps(schema), encoding="utf-8")
        return CliRunner().invoke(app, ["extract", "--schema", "schema.json", *map(str, [*arguments, *on])])

    return start


def test_nano_reads_fields(tmp_path: Path) -> None:
    schema = schema_of(
        shop={"type": "string"},
        total={"type": "number"},
        soup={"type": "number", "description": "the tomato soup price"},
    )
    found = vl2.load("nano").extract(RECEIPT, schema)
    assert found.value == {"shop": "Harbour Cafe", "total": 30.9, "soup": found.value["soup"]}
    jsonschema.validate(found.value, schema)
    assert found.forced == ()


def test_what_does_not_fit_is_null_or_left_out_or_forced(scripted: Model, picture: Image.Image) -> None:
    properties = {
        "said": {"type": "string"}, "count": {"type": "integer", "minimum": 3, "maximum": 5},
        "maybe": {"type": ["number", "null"]}, "kind": {"enum": ["dog", "fish"]},
    }  # fmt: skip
    found = scripted.extract(picture, schema_of(**properties))
    assert found.value == {"said": TEXT, "count": found.value["count"], "maybe": None, "kind": found.value["kind"]}
    jsonschema.validate(found.value, schema_of(**properties))
    assert found.forced == ("count", "kind")
    found = scripted.extract(picture, schema_of(required=False, **properties))
    assert found.value == {"said": TEXT, "maybe": None}
    assert found.forced == ()


def test_lists_and_other_schemas_are_json_answers(scripted: Model, picture: Image.Image) -> None:
    """Valid whatever the model would rather say; `at_once` makes one answer of it all."""
    numbers = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 3}
    schema = schema_of(said={"enum": [TEXT, "nothing"]}, numbers=numbers)
    found = scripted.extract(picture, schema)
    jsonschema.validate(found.value, schema)
    assert found.value["said"] == TEXT
    assert scripted.extract(picture, schema_of(a={"const": 1}), at_once=True).value == {"a": 1}
    jsonschema.validate(scripted.extract(picture, numbers).value, numbers)


def test_the_image_is_read_once(scripted: Model, picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """All questions but the first find it in the cache."""
    model = Model(scripted.network, scripted.tokenizer, engine={"block_size": 4})
    fields: dict[str, Any] = {f"field{n}": {"type": "string"} for n in range(6)}
    model.extract(picture, schema_of(**fields))
    image_tokens = model.ask(picture, "?").image_tokens
    stats = model.engine.stats()
    assert stats.num_encoded_images == 1
    assert stats.num_cached_tokens >= 6 * (image_tokens - 4)
    assert model.chat([ask_message([picture], "What is the field0?")]).text == TEXT


def test_mistakes(scripted: Model, picture: Image.Image) -> None:
    with pytest.raises(GrammarError, match="uniqueItems is not supported"):
        scripted.extract(picture, {"type": "array", "uniqueItems": True})
    with pytest.raises(GrammarError, match="uniqueItems is not supported"):
        scripted.extract(picture, schema_of(a={"type": "array", "uniqueItems": True}))
    long = {"type": "array", "items": {"const": 1}, "minItems": 50}
    with pytest.raises(ExtractionError, match=r"no JSON after 20 tokens .* raise max_tokens"):
        scripted.extract(picture, long, max_tokens=20)


def test_the_command(run: Callable[..., Result], picture: Image.Image) -> None:
    """An image gives the JSON, a document a line for each page; what is forced is said on stderr."""
    picture.save("one.png")
    pages = [picture.resize((70 + n, 30)) for n in range(3)]
    pages[0].save("three.tiff", save_all=True, append_images=pages[1:])
    schema = schema_of(said={"type": "string"}, kind={"enum": ["dog", "fish"]})
    one = run(schema, "one.png")
    assert one.exit_code == 0, one.stderr
    jsonschema.validate(json.loads(one.stdout), schema)
    assert "kind: the answer in words did not fit" in one.stderr
    three = run(schema, "three.tiff", "--pages", "1,3", "--out", "out/found.jsonl")
    assert (three.exit_code, three.stdout) == (0, "")
    rows = [json.loads(line) for line in Path("out/found.jsonl").read_text().splitlines()]
    assert [row["page"] for row in rows] == [1, 3]
    for row in rows:
        jsonschema.validate(row["value"], schema)


def test_mistakes_on_the_command_line(run: Callable[..., Result], picture: Image.Image) -> None:
    """One line, and no file."""
    picture.save("one.png")
    picture.save("two.tiff", save_all=True, append_images=[picture])
    bad = run({"uniqueItems": True}, "one.png", "--out", "found.json")
    assert (bad.exit_code, bad.stdout) == (2, "")
    assert bad.stderr == "vl2: json_schema: uniqueItems is not supported; remove it\n"
    missing = run({}, "one.png", "--schema", "nowhere.json")
    assert missing.exit_code == 2
    assert "nowhere.json" in missing.stderr
    long = {"type": "array", "items": {"const": 1}, "minItems": 50}
    assert run(long, "one.png", "--max-tokens", 20, "--out", "found.json").exit_code == 2
    pages = run(long, "two.tiff", "--max-tokens", 20)
    assert pages.exit_code == 2
    assert [json.loads(line)["page"] for line in pages.stdout.splitlines()] == [1, 2]
    assert len(pages.stderr.splitlines()) == 2
    assert not Path("found.json").exists()
