"""Prompts to packed batches of fixed size.

    Prompt, Prompt, ... --Packer.add--> tokens end to end, tiles stacked --finish--> PackedBatch
    tokens: | prompt 0 | prompt 1 | ... | filler |      always `budget.tokens` of them
    tiles:  | image 0 | image 1 | ... | filler |        always `budget.tiles` of them

Several prompts may show the same image: then they lie in one sequence that branches, what they begin with once, then
what is left of each; positions go on from the beginning in every branch (vl2/kernels/branches.py).

A prompt is never split, and neither is an image. An image of one local tile shows the same pixels in its global view
and its local view, so its tile is stored once and its image tokens name it twice.

The trap: labels are shifted here, once: labels_T[t] is the token that should follow token t of the same prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vl2.layout import NEWLINE, TileGrid, tile_token_index
from vl2.processing.render import Prompt

IGNORE_INDEX = -100
NO_LABEL = -1  # patches that the patch loss skips
BOX_BINS = 100  # an edge of a box is classified by the first two of its three digits, 0..999 of the image


class PatchTargets(NamedTuple):
    """What the patches of an image's unique tiles show: dense targets that a renderer gives for free.

    classes_NP: (N, P) int16 class of what covers the patch, 0 for background, NO_LABEL where unknown.
    boxes_NP4: (N, P, 4) int16 box (x0, y0, x1, y1) of the whole it belongs to, in BOX_BINS of the image; or NO_LABEL.
    """

    classes_NP: np.ndarray
    boxes_NP4: np.ndarray


class PackingError(ValueError):
    """A prompt that no batch of this budget can hold; the message gives both numbers."""


@dataclass(frozen=True)
class Budget:
    """Sizes of every batch, fixed so that compiled code sees one shape.

    tokens, tiles: in every batch, filler included.
    max_sequence: longest prompt; filler is cut into sequences, none longer than this.
    max_prompts: prompts in a batch.
    branching: whether sequences may branch.
    """

    tokens: int
    tiles: int
    max_sequence: int
    max_prompts: int
    branching: bool = False

    def __post_init__(self) -> None:
        for name in ("tokens", "max_sequence", "max_prompts"):
            if getattr(self, name) <= 0:
                raise PackingError(f"{name} = {getattr(self, name)}: must be positive")
        if self.tiles < 0:
            raise PackingError(f"tiles = {self.tiles}: must not be negative")

    @property
    def sequence_slots(self) -> int:
        """Entries of cu_seqlens less one: prompts and filler sequences."""
        return self.max_prompts + self.filler_slots

    @property
    def part_slots(self) -> int:
        """Entries of cu_parts_P1 less one: of every prompt its branch, and what it shares with others."""
        return 2 * self.max_prompts + self.filler_slots

    @property
    def filler_slots(self) -> int:
        """Filler sequences that a batch may need."""
        return -(-self.tokens // self.max_sequence)


@dataclass(frozen=True)
class PackedBatch:
    """One micro-batch. Tensors first, then facts about it that the host needs without asking the device.

    input_ids_T: (T,) token ids, image placeholders included.
    labels_T: (T,) the token to predict at each position, IGNORE_INDEX where there is no loss.
    positions_T: (T,) position inside the own prompt.
    prompt_T: (T,) which sequence of prompts a token belongs to; `Budget.max_prompts` for filler.
    cu_seqlens_S1: (slots + 1,) int32 offsets of these, then filler sequences, then empty ones.
    cu_parts_P1, cu_prefixes_S1, prefix_tokens_J, branch_T: where sequences branch, as in vl2.kernels.branches.Branches.
    target_positions_L: (L,) positions with a label, in order.
    target_tasks_L: (L,) the task of each of them.
    answer_lengths_L: (L,) float32 how many labels the answer has that each of them belongs to.
    image_positions_I: (I,) positions of image placeholders.
    image_index_I: (I,) their sources for `VL2.layout_images`.
    tiles_NCYX: (N, 3, Y, X) uint8 tiles, each once; filler is zero.
    patch_classes_NP, patch_boxes_NP4: targets of the patches, as in PatchTargets.
    sequence_lengths: tokens of each sequence of prompts, in order; one that does not branch is a prompt.
    num_prompts: prompts, those of all branches counted.
    num_sequences: sequences of prompts and filler, hence the used part of cu_seqlens_S1.
    branching: whether sequences may branch.
    num_tiles: tiles that are not filler.
    num_foreground, num_background, num_boxes: patches of class > 0, of class 0, and with a box.
    max_sequence, sequence_limit: longest sequence, filler included, and the longest that the budget allows.
    num_dropped: samples that were generated but could not be used.
    """

    input_ids_T: Tensor
    labels_T: Tensor
    positions_T: Tensor
    prompt_T: Tensor
    cu_seqlens_S1: Tensor
    cu_parts_P1: Tensor
    cu_prefixes_S1: Tensor
    prefix_tokens_J: Tensor
    branch_T: Tensor
    target_positions_L: Tensor
    target_tasks_L: Tensor
    answer_lengths_L: Tensor
    image_positions_I: Tensor
    image_index_I: Tensor
    tiles_NCYX: Tensor
    patch_classes_NP: Tensor
    patch_boxes_NP4: Tensor
    sequence_lengths: tuple[int, ...]
    num_prompts: int
    num_sequences: int
    branching: bool
    num_tiles: int
    num_foreground: int
    num_background: int
    num_boxes: int
    max_sequence: int
    sequence_limit: int
    num_dropped: int = 0

    @property
    def num_tokens(self) -> int:
        """Tokens that are not filler."""
        return sum(self.sequence_lengths)

    @property
    def num_targets(self) -> int:
        return self.target_positions_L.numel()

    def _map_tensors(self, change: Callable[[Tensor], Tensor]) -> "PackedBatch":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(value) for name, value in values.items() if isinstance(value, Tensor)})

    def pin_memory(self) -> "PackedBatch":
        """Called by DataLoader, so that copies to the device do not block."""
        return self._map_tensors(Tensor.pin_memory)

    def to(self, device: torch.device) -> "PackedBatch":
        return self._map_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def keep_for(self, stream: torch.cuda.Stream) -> None:
        """Memory of this batch, allocated on another stream, is not reused before `stream` is done with it."""
        self._map_tensors(lambda tensor: (tensor.record_stream(stream), tensor)[1])


@lru_cache(maxsize=64)
def _sources(grid: TileGrid, side: int) -> np.ndarray:
    return np.asarray(tile_token_index(grid, side), dtype=np.int64)


def _image_index(grid: TileGrid, first_tile: int, num_tiles: int, side: int) -> np.ndarray:
    """Flat sources of one image's tokens when its unique tiles start at `first_tile` of `num_tiles` encoded tiles."""
    sources, per_tile = _sources(grid, side), side * side
    tile, inner = np.divmod(sources, per_tile)
    if grid.num_tiles == 2:
        tile = np.zeros_like(tile)  # both views of a 1x1 image are the same pixels
    edges = num_tiles * per_tile + np.where(sources == NEWLINE, 0, 1)
    return np.where(sources < 0, edges, (first_tile + tile) * per_tile + inner)


class _Part(NamedTuple):
    """Tokens that follow one another: a prompt, what several begin with, or the rest of one.

    targets: what should follow each of them.
    first: position of the first.
    """

    ids: Sequence[int]
    targets: Sequence[int]
    first: int


@dataclass(frozen=True)
class PackItem:
    """A prompt, the number of its task, and the targets of its tiles' patches if they are known.

    others: prompts with the same images, which share with it what they begin with, up to the first token to predict.
    """

    prompt: Prompt
    task: int
    patch_targets: PatchTargets | None = None
    others: tuple[Prompt, ...] = ()

    def __post_init__(self) -> None:
        for other in self.others:
            assert all(a is b for a, b in zip(self.prompt.images, other.images, strict=True))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return (self.prompt, *self.others)

    @cached_property
    def shared(self) -> int:
        """Tokens that all prompts begin with, the last of which predicts nothing; 0 if there is but one prompt."""
        if not self.others:
            return 0
        most = min(len(prompt.input_ids) for prompt in self.prompts) - 1
        ids = np.array([prompt.input_ids[:most] for prompt in self.prompts])
        labels = np.array([prompt.labels[1 : most + 1] for prompt in self.prompts])
        ends = np.flatnonzero(((ids != ids[0]) | (labels != IGNORE_INDEX)).any(0))
        return int(ends[0]) if len(ends) else most

    @property
    def num_tokens(self) -> int:
        return self.shared + sum(len(prompt.input_ids) - self.shared for prompt in self.prompts)

    @property
    def num_tiles(self) -> int:
        return sum(len(image.unique_tiles_NCYX) for image in self.prompt.images)

    def parts(self) -> list[_Part]:
        """In the order in which they are packed. The last token of a prompt predicts nothing."""
        shared, begin = self.shared, []
        if shared:
            begin = [_Part(self.prompt.input_ids[:shared], [IGNORE_INDEX] * shared, 0)]
        rest = [_Part(p.input_ids[shared:], [*p.labels[shared + 1 :], IGNORE_INDEX], shared) for p in self.prompts]
        return begin + rest


class Packer:
    """Fills one batch.

    Args:
        budget: its sizes.
        tile_size: pixels along a tile's edge.
        tile_side: tile tokens along a tile's edge.
        num_patches: patches of a tile.
        pad_id: token id of filler.
    """

    def __init__(self, budget: Budget, *, tile_size: int, tile_side: int, num_patches: int, pad_id: int) -> None:
        self.budget, self.tile_size, self.tile_side = budget, tile_size, tile_side
        self.num_patches, self.pad_id = num_patches, pad_id
        self.items: list[PackItem] = []
        self.num_prompts = 0
        self.tokens_left, self.tiles_left = budget.tokens, budget.tiles

    def check(self, item: PackItem) -> None:
        """Raises PackingError for an item that not even an empty batch takes."""
        limit = min(self.budget.tokens, self.budget.max_sequence)
        if item.num_tokens > limit:
            what = "a prompt" if not item.others else f"{len(item.prompts)} prompts of one image"
            raise PackingError(
                f"{what} of {item.num_tokens} tokens exceeds the limit of {limit}; raise max_sequence_tokens"
            )
        if item.num_tiles > self.budget.tiles:
            raise PackingError(f"a prompt of {item.num_tiles} tiles exceeds tiles_per_batch = {self.budget.tiles}")
        if len(item.prompts) > self.budget.max_prompts:
            raise PackingError(f"{len(item.prompts)} prompts exceed max_prompts = {self.budget.max_prompts}")

    def add(self, item: PackItem) -> bool:
        """Take the item if it fits what is left; otherwise change nothing and return False."""
        assert self.budget.branching or not item.others
        tokens, tiles = item.num_tokens, item.num_tiles
        full = self.num_prompts + len(item.prompts) > self.budget.max_prompts or tiles > self.tiles_left
        if full or tokens > min(self.tokens_left, self.budget.max_sequence):
            return False
        self.items.append(item)
        self.num_prompts += len(item.prompts)
        self.tokens_left -= tokens
        self.tiles_left -= tiles
        return True

    def finish(self, num_dropped: int = 0) -> PackedBatch:
        budget, filler = self.budget, self.tokens_left
        lengths = [item.num_tokens for item in self.items]
        # filler no longer than the prompts where possible, so that it does not set the cost of attention
        longest = max([*lengths, -(-filler // budget.filler_slots), 1])
        fillers = _filler_lengths(filler, longest)
        sequences = lengths + fillers
        parts = [part for item in self.items for part in item.parts()]
        labels = np.full(budget.tokens, IGNORE_INDEX, dtype=np.int64)
        labels[: sum(lengths)] = [label for part in parts for label in part.targets]
        positions = [np.arange(part.first, part.first + len(part.ids)) for part in parts]
        targets = np.flatnonzero(labels != IGNORE_INDEX)
        prompts = np.full(budget.tokens, budget.max_prompts, dtype=np.int64)
        prompts[: sum(lengths)] = np.repeat(np.arange(len(lengths)), lengths)
        tasks = np.asarray([item.task for item in self.items], dtype=np.int64)
        tiles, patches, image_index = self._images()
        prefix_offsets, prefix_tokens, in_branch = self._branches(sequences)
        ids = [token for part in parts for token in part.ids] + [self.pad_id] * filler
        return PackedBatch(
            input_ids_T=torch.tensor(ids, dtype=torch.long),
            labels_T=torch.from_numpy(labels),
            positions_T=torch.from_numpy(np.concatenate([*positions, *map(np.arange, fillers)])),
            prompt_T=torch.from_numpy(prompts),
            cu_seqlens_S1=_offsets(sequences, budget.sequence_slots, budget.tokens),
            cu_parts_P1=_offsets([*(len(part.ids) for part in parts), *fillers], budget.part_slots, budget.tokens),
            cu_prefixes_S1=prefix_offsets,
            prefix_tokens_J=torch.from_numpy(prefix_tokens),
            branch_T=torch.from_numpy(in_branch),
            target_positions_L=torch.from_numpy(targets),
            target_tasks_L=torch.from_numpy(tasks[prompts[targets]]),
            answer_lengths_L=torch.from_numpy(_run_lengths(targets)),
            image_positions_I=torch.from_numpy(self._image_positions(lengths)),
            image_index_I=torch.from_numpy(image_index),
            tiles_NCYX=tiles,
            patch_classes_NP=torch.from_numpy(patches.classes_NP),
            patch_boxes_NP4=torch.from_numpy(patches.boxes_NP4),
            sequence_lengths=tuple(lengths),
            num_prompts=self.num_prompts,
            num_sequences=len(sequences),
            branching=budget.branching,
            num_tiles=budget.tiles - self.tiles_left,
            num_foreground=int((patches.classes_NP > 0).sum()),
            num_background=int((patches.classes_NP == 0).sum()),
            num_boxes=int((patches.boxes_NP4[..., 0] != NO_LABEL).sum()),
            max_sequence=max(sequences),
            sequence_limit=budget.max_sequence,
            num_dropped=num_dropped,
        )

    def _branches(self, sequences: Sequence[int]) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Offsets of what each sequence's branches share (of others, the first token), its tokens, and all branches."""
        shared = [item.shared for item in self.items] + [0] * (len(sequences) - len(self.items))
        starts = np.cumsum([0, *sequences[:-1]])
        kept = [max(count, 1) for count in shared]
        tokens = np.full(self.budget.tokens, -1, dtype=np.int64)
        tokens[: sum(kept)] = np.concatenate([np.arange(a, a + n) for a, n in zip(starts, kept, strict=True)])
        in_branch = np.zeros(self.budget.tokens, dtype=np.bool_)
        for start, length, count in zip(starts, sequences, shared, strict=True):
            in_branch[start + count : start + length] = count > 0
        return _offsets(kept, self.budget.sequence_slots, sum(kept)), tokens, in_branch

    def _image_positions(self, lengths: Sequence[int]) -> np.ndarray:
        spans = [np.empty(0, dtype=np.int64)]
        start = 0
        for item, length in zip(self.items, lengths, strict=True):
            assert all(begin + count <= item.shared for begin, count in item.prompt.spans) or not item.others
            spans += [np.arange(start + begin, start + begin + count) for begin, count in item.prompt.spans]
            start += length
        return np.concatenate(spans)

    def _images(self) -> tuple[Tensor, PatchTargets, np.ndarray]:
        """Stacked tiles, targets of their patches, and the sources of all image tokens."""
        budget, edge = self.budget, self.tile_size
        tiles = torch.zeros(budget.tiles, 3, edge, edge, dtype=torch.uint8)
        tiles_NCYX = tiles.numpy()
        classes = np.full((budget.tiles, self.num_patches), NO_LABEL, dtype=np.int16)
        boxes = np.full((budget.tiles, self.num_patches, 4), NO_LABEL, dtype=np.int16)
        index = [np.empty(0, dtype=np.int64)]
        first = 0
        for item in self.items:
            if item.patch_targets is not None:
                assert item.patch_targets.classes_NP.shape == (item.num_tiles, self.num_patches)
                classes[first : first + item.num_tiles] = item.patch_targets.classes_NP
                boxes[first : first + item.num_tiles] = item.patch_targets.boxes_NP4
            for image in item.prompt.images:
                own = image.unique_tiles_NCYX
                tiles_NCYX[first : first + len(own)] = own
                index.append(_image_index(image.grid, first, budget.tiles, self.tile_side))
                first += len(own)
        return tiles, PatchTargets(classes, boxes), np.concatenate(index)


def _offsets(lengths: Sequence[int], slots: int, end: int) -> Tensor:
    """(slots + 1,) int32 offsets of lengths that lie end to end, `end` after the last."""
    offsets = np.full(slots + 1, end, dtype=np.int32)
    offsets[: len(lengths) + 1] = np.cumsum([0, *lengths])
    return torch.from_numpy(offsets)


def _run_lengths(positions: np.ndarray) -> np.ndarray:
    """(L,) for every position, the length of the unbroken run it lies in: answers are apart by what was asked."""
    starts = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
    lengths = np.diff(starts, append=len(positions))
    return np.repeat(lengths, lengths).astype(np.float32)


def _filler_lengths(tokens: int, longest: int) -> list[int]:
    whole, rest = divmod(tokens, longest)
    return [longest] * whole + ([rest] if rest else [])
