"""Our model against recorded outputs of the official implementation (float32, CPU)."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from vl2.layout import TileGrid
from vl2.model.cache import CachedSequences, PackedSequences
from vl2.model.vl2 import VL2
from vl2.model.weights import load

TOLERANCE = 2e-4


@dataclass
class Case:
    model: VL2
    expected: dict[str, Tensor]

    def sample(self, row: int) -> tuple[Tensor, Tensor, Tensor, list[TileGrid]]:
        """ids (T,), image mask (T,), float tiles, grids of one sample without its left padding."""
        e = self.expected
        keep = e["attention_mask"][row].bool()
        crops = [(int(w), int(h)) for w, h in e["images_spatial_crop"][row] if w > 0]
        grids = [TileGrid(rows=h, cols=w) for w, h in crops]
        tiles = e["images_32px"][row].float().repeat_interleave(12, -1).repeat_interleave(12, -2)
        tiles = tiles[: sum(grid.num_tiles for grid in grids)]
        return e["input_ids"][row][keep], e["images_seq_mask"][row][keep].bool(), tiles, grids

    def embeds(self, row: int) -> Tensor:
        ids, mask, tiles, grids = self.sample(row)
        images = self.model.encode_images(tiles, grids)
        return self.model.embed(ids, mask.nonzero()[:, 0], images)


@pytest.fixture(scope="module")
def case(golden_model: Path) -> Case:
    return Case(load(golden_model), load_file(golden_model / "expected.safetensors"))


def close(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours, expected, atol=TOLERANCE, rtol=0)


def test_vision_and_projector(case: Case) -> None:
    _, _, tiles, _ = case.sample(0)
    first = tiles[: case.expected["vision_features_sample0"].shape[0]]
    patches, tokens = case.model.encode_tiles(first)
    close(patches, case.expected["vision_features_sample0"])
    close(tokens, case.expected["projected_sample0"])


def test_embeds_hidden_and_logits(case: Case) -> None:
    """Both samples packed end to end, so a leak between sequences fails too."""
    keep = case.expected["attention_mask"].bool()
    rows = range(keep.shape[0])
    parts = [case.embeds(row) for row in rows]
    for row, part in zip(rows, parts, strict=True):
        close(part, case.expected["inputs_embeds"][row][keep[row]])
    layer0: list[Tensor] = []
    hook = case.model.language.layers[0].register_forward_hook(lambda _m, _i, out: layer0.append(out[0] + out[1]))
    lengths = [len(part) for part in parts]
    positions = torch.cat([torch.arange(n) for n in lengths])
    hidden, _ = case.model(torch.cat(parts), positions, PackedSequences.of_lengths(lengths, "cpu"))
    hook.remove()
    for row, hid0, hid in zip(rows, layer0[0].split(lengths), hidden.split(lengths), strict=True):
        close(hid0[-64:], case.expected["hidden_after_layer0_last64"][row])
        close(case.model.logits(hid[-64:]), case.expected["logits_last64"][row])


def test_greedy_tokens(case: Case) -> None:
    """Prefill, then decoding with the cache, each sample alone."""
    expected = case.expected["greedy_tokens"]
    for row in range(expected.shape[0]):
        x = case.embeds(row)
        cache = CachedSequences(case.model.config.language_config, 1, len(x) + expected.shape[1], "cpu", torch.float32)
        tokens: list[int] = []
        while len(tokens) < expected.shape[1]:
            positions = cache.begin_step([len(x)])
            hidden, _ = case.model(x, positions, cache)
            tokens.append(int(case.model.logits(hidden[-1:]).argmax()))
            x = case.model.language.embed_tokens(torch.tensor(tokens[-1:]))
        assert tokens == expected[row].tolist()
