from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vl2.data.packing import IGNORE_INDEX, NO_LABEL, Budget, PackedBatch, Packer, PackingError, PackItem, PatchTargets
from vl2.layout import TileGrid, image_token_count
from vl2.model.vl2 import image_token_index
from vl2.processing.render import Prompt
from vl2.processing.tiling import TiledImage

SIDE, TILE, PATCHES, PAD, IMAGE = 2, 8, 9, 2, 3


def targets(tiles: int, number: int) -> PatchTargets:
    boxes = np.full((tiles, PATCHES, 4), NO_LABEL, np.int16)
    boxes[:1] = number % 7
    return PatchTargets(np.full((tiles, PATCHES), number % 2, np.int16), boxes)


def make_item(number: int, grids: list[TileGrid], words: int, labelled: bool) -> PackItem:
    """A prompt whose ids and pixels tell which prompt they belong to."""
    ids, labels, spans, images = [10 + number], [10 + number], [], []
    for order, grid in enumerate(grids):
        count = image_token_count(grid, SIDE)
        spans.append((len(ids), count))
        ids += [IMAGE] * count
        labels += [IGNORE_INDEX] * count
        shape = (grid.num_tiles, 3, TILE, TILE)
        images.append(TiledImage(np.full(shape, 1 + (number * 4 + order) % 255, np.uint8), grid, (TILE, TILE)))
    ids += [100 * (number + 1) + word for word in range(words)]
    labels += [100 * (number + 1) + word if word % 2 else IGNORE_INDEX for word in range(words)]
    prompt = Prompt(ids, labels, tuple(spans), tuple(images))
    tiles = sum(len(image.unique_tiles_NCYX) for image in images)
    return PackItem(prompt, number % 3, targets(tiles, number) if labelled else None)


grids = st.builds(TileGrid, st.integers(1, 3), st.integers(1, 3))
item_shapes = st.lists(
    st.tuples(st.lists(grids, max_size=2), st.integers(1, 30), st.booleans()), min_size=1, max_size=12
)
budgets = st.builds(Budget, st.integers(1, 300), st.integers(0, 12), st.integers(1, 200), st.integers(1, 6))


def pack(budget: Budget, items: list[PackItem]) -> tuple[PackedBatch, list[PackItem]]:
    packer = Packer(budget, tile_size=TILE, tile_side=SIDE, num_patches=PATCHES, pad_id=PAD)
    taken = [item for item in items if packer.add(item)]
    return packer.finish(), taken


@given(item_shapes, budgets)
def test_every_token_and_tile_is_accounted_for(shapes: list[tuple[list[TileGrid], int, bool]], budget: Budget) -> None:
    items = [make_item(number, *shape) for number, shape in enumerate(shapes)]
    batch, taken = pack(budget, items)
    assert batch.input_ids_T.shape == batch.labels_T.shape == batch.positions_T.shape == (budget.tokens,)
    assert batch.tiles_NCYX.shape == (budget.tiles, 3, TILE, TILE)
    assert batch.cu_seqlens_S1.shape == (budget.sequence_slots + 1,)
    assert batch.sequence_lengths == tuple(len(item.prompt.input_ids) for item in taken)
    start = first_tile = 0
    for number, item in enumerate(taken):
        length = len(item.prompt.input_ids)
        own = slice(start, start + length)
        assert batch.input_ids_T[own].tolist() == item.prompt.input_ids  # whole, in one piece
        assert batch.positions_T[own].tolist() == list(range(length))
        assert batch.prompt_T[own].unique().tolist() == [number]
        # each label stands one position before its token, and no label crosses into the next prompt
        assert batch.labels_T[own].tolist() == [*item.prompt.labels[1:], IGNORE_INDEX]
        assert length <= budget.max_sequence
        tiles = batch.tiles_NCYX[first_tile : first_tile + item.num_tiles]
        assert bool((tiles > 0).all())
        patches = batch.patch_classes_NP[first_tile : first_tile + item.num_tiles]
        boxes = batch.patch_boxes_NP4[first_tile : first_tile + item.num_tiles]
        wanted = item.patch_targets or PatchTargets(np.full(patches.shape, NO_LABEL), np.full(boxes.shape, NO_LABEL))
        assert (patches.numpy() == wanted.classes_NP).all()
        assert (boxes.numpy() == wanted.boxes_NP4).all()
        start, first_tile = start + length, first_tile + item.num_tiles
    assert (batch.num_tokens, batch.num_tiles) == (start, first_tile)
    assert (batch.input_ids_T[start:] == PAD).all()
    assert (batch.labels_T[start:] == IGNORE_INDEX).all()
    assert (batch.prompt_T[start:] == budget.max_prompts).all()
    assert (batch.tiles_NCYX[first_tile:] == 0).all()
    assert (batch.patch_classes_NP[first_tile:] == NO_LABEL).all()
    assert (batch.patch_boxes_NP4[first_tile:] == NO_LABEL).all()
    assert batch.num_boxes == int((batch.patch_boxes_NP4[..., 0] != NO_LABEL).sum())


@given(item_shapes, budgets)
def test_offsets_cut_the_tokens_into_whole_sequences(
    shapes: list[tuple[list[TileGrid], int, bool]], budget: Budget
) -> None:
    batch, taken = pack(budget, [make_item(number, *shape) for number, shape in enumerate(shapes)])
    offsets = batch.cu_seqlens_S1.tolist()
    used = offsets[: batch.num_sequences + 1]
    lengths = np.diff(used)
    assert offsets[0] == 0
    assert set(offsets[batch.num_sequences :]) == {budget.tokens}
    assert (lengths > 0).all()
    assert lengths.max() == batch.max_sequence <= budget.max_sequence
    assert tuple(lengths[: len(taken)]) == batch.sequence_lengths
    assert batch.positions_T.tolist() == [i for length in lengths for i in range(length)]


@given(item_shapes, budgets)
def test_targets_and_image_tokens(shapes: list[tuple[list[TileGrid], int, bool]], budget: Budget) -> None:
    batch, taken = pack(budget, [make_item(number, *shape) for number, shape in enumerate(shapes)])
    assert batch.target_positions_L.tolist() == torch.nonzero(batch.labels_T != IGNORE_INDEX)[:, 0].tolist()
    prompts = batch.prompt_T[batch.target_positions_L].tolist()
    assert batch.target_tasks_L.tolist() == [taken[prompt].task for prompt in prompts]
    assert batch.image_positions_I.tolist() == torch.nonzero(batch.input_ids_T == IMAGE)[:, 0].tolist()
    grids, names, first = [], [], 0
    for item in taken:
        for image in item.prompt.images:
            count = len(image.unique_tiles_NCYX)
            grids.append(image.grid)
            names.append([first, first] if count == 1 else list(range(first, first + count)))
            first += count
    assert batch.image_index_I.tolist() == image_token_index(grids, names, budget.tiles, SIDE)


def branched(item: PackItem, endings: list[list[int]]) -> PackItem:
    """The image of an item, then different tokens; those above 1000 are targets."""
    (begin, count) = item.prompt.spans[0]
    ids, labels = item.prompt.input_ids[: begin + count], item.prompt.labels[: begin + count]
    prompts = [
        replace(
            item.prompt,
            input_ids=[*ids, *ending],
            labels=[*labels, *(token if token > 1000 else IGNORE_INDEX for token in ending)],
        )
        for ending in endings
    ]
    return replace(item, prompt=prompts[0], others=tuple(prompts[1:]))


def test_prompts_of_one_image_branch() -> None:
    endings = [[50, 51, 1001, 1002], [50, 52, 1003], [50, 53, 1004, 1005, 1006]]
    one, two = branched(make_item(0, [TileGrid(1, 2)], 0, True), endings), make_item(1, [TileGrid(1, 1)], 3, True)
    budget = Budget(60, 8, 40, 6, branching=True)
    batch, taken = pack(budget, [one, two])
    assert taken == [one, two]
    shared = 1 + image_token_count(TileGrid(1, 2), SIDE) + 1  # with the 50 that all go on with
    assert one.shared == shared
    length = shared + 3 + 2 + 4
    assert (batch.sequence_lengths, batch.num_prompts) == ((length, len(two.prompt.input_ids)), 4)
    assert batch.input_ids_T[:length].tolist() == [*one.prompt.input_ids[:shared], *(t for e in endings for t in e[1:])]
    positions = [*range(shared), *range(shared, shared + 3), *range(shared, shared + 2), *range(shared, shared + 4)]
    assert batch.positions_T[:length].tolist() == positions
    labels = [IGNORE_INDEX] * shared + [1001, 1002, IGNORE_INDEX, 1003, IGNORE_INDEX, 1004, 1005, 1006, IGNORE_INDEX]
    assert batch.labels_T[:length].tolist() == labels
    ends = [0, shared, shared + 3, shared + 5, length, batch.num_tokens]
    assert batch.cu_parts_P1.tolist()[:6] == ends
    assert batch.cu_parts_P1.shape == (budget.part_slots + 1,)
    assert batch.cu_parts_P1[-1] == budget.tokens
    assert batch.branch_T.nonzero()[:, 0].tolist() == list(range(shared, length))
    first_of_two = length
    used = batch.cu_prefixes_S1.tolist()
    assert used[:3] == [0, shared, shared + 1]
    assert batch.prefix_tokens_J[: shared + 1].tolist() == [*range(shared), first_of_two]
    assert (batch.prefix_tokens_J[used[-1] :] == -1).all()
    assert batch.num_tiles == 3 + 1
    spans = [
        range(1, 1 + image_token_count(TileGrid(1, 2), SIDE)),
        range(1, 1 + image_token_count(TileGrid(1, 1), SIDE)),
    ]
    assert batch.image_positions_I.tolist() == [*spans[0], *(length + place for place in spans[1])]
    packer = Packer(replace(budget, max_prompts=3), tile_size=TILE, tile_side=SIDE, num_patches=PATCHES, pad_id=PAD)
    assert packer.add(two)
    assert not packer.add(one)  # a fourth prompt
    packer = Packer(replace(budget, max_prompts=2), tile_size=TILE, tile_side=SIDE, num_patches=PATCHES, pad_id=PAD)
    with pytest.raises(PackingError, match="3 prompts exceed max_prompts = 2"):
        packer.check(one)


def test_branches_begin_before_the_first_target() -> None:
    """Even if the same is asked and answered twice."""
    alike = branched(make_item(0, [TileGrid(1, 1)], 0, False), [[50, 51, 1001, 1002]] * 2)
    before = 1 + image_token_count(TileGrid(1, 1), SIDE) + 1  # 51 predicts 1001
    assert alike.shared == before
    batch, _ = pack(Budget(60, 4, 40, 4, branching=True), [alike])
    assert batch.labels_T[before : before + 6].tolist() == [1001, 1002, IGNORE_INDEX] * 2


def test_an_item_too_large_for_any_batch_names_both_numbers() -> None:
    packer = Packer(Budget(50, 4, 40, 4), tile_size=TILE, tile_side=SIDE, num_patches=PATCHES, pad_id=PAD)
    with pytest.raises(PackingError, match="61 tokens exceeds the limit of 40"):
        packer.check(make_item(0, [], 60, False))
    with pytest.raises(PackingError, match="10 tiles exceeds tiles_per_batch = 4"):
        packer.check(many_tiles())


def many_tiles() -> PackItem:
    """Many tiles, few tokens: a span shorter than the tiles would give, which `check` does not look at."""
    image = TiledImage(np.zeros((10, 3, TILE, TILE), np.uint8), TileGrid(3, 3), (TILE, TILE))
    return PackItem(Prompt([1, 2], [1, 2], ((1, 1),), (image,)), 0)
