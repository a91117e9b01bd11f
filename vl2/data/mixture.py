"""Weighted mixing of sources into packed batches, as a pure function of (seed, stage, number of the micro-batch).

    rng(seed, stage, micro) --> (source, index), (source, index), ... --> conversation --render--> Prompt --> Packer

No result depends on what came before, so training resumes anywhere and with any number of workers. With `uses` above
one, a sample comes again in later batches with other questions; its worker keeps it until then, so that it is drawn
once. A worker that does not have it draws it again, which gives the same.
A sample that does not fit what is left of a batch is dropped, so large ones come out a little rarer than their weight
says; with a hundred prompts in a batch the difference is about a percent.

The trap: `vl2.data` may not import `vl2.synth`; generators arrive as functions inside a SynthSource.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from PIL import Image as PILImage
from torch.utils.data import Dataset

from vl2.config import VL2Config
from vl2.data.conversations import Conversations
from vl2.data.dialogue import Picture, Question, Sample, sample_conversations
from vl2.data.packing import Budget, PackedBatch, Packer, PackingError, PackItem, PatchTargets
from vl2.processing.messages import Message
from vl2.processing.render import ContextError, Prompt
from vl2.processing.tiling import MAX_TILED_IMAGES, TiledImage

USE_DISTANCE = 240  # micro-batches between two uses of a sample: a multiple of what many numbers of workers share
MAX_MISSES = 4  # samples in a row that may fail to fit before a batch is closed
MAX_FAILURES = 20  # samples of one batch that may fail to generate or to fit an empty batch before it is an error
MAX_KEPT = 4096  # samples that a worker keeps for their next use, about 0.5 MB each
_INDEX_RANGE = 2**62


class MixtureError(ValueError):
    """A mixture that names no known source, or a source that keeps failing."""


class SupportsRender(Protocol):
    """What is needed of `vl2.processing.render.Renderer`."""

    def tile(self, source: PILImage.Image, *, tiling: bool = True) -> TiledImage: ...

    def render(self, conversation: Sequence[Message], *, for_generation: bool, mask_prompt: bool) -> Prompt: ...


@dataclass(frozen=True)
class SynthSource:
    """Generators of synthetic samples, passed in by the caller. All functions must be importable by name.

    generate: (task, seed, index, split) to a sample; takes penmanship=True if a spec asks for it.
    patch_targets: (sample, its tiled image) to what the patches of its unique tiles show.
    tasks: names that `generate` knows.
    num_labels: classes of `patch_targets`.
    """

    generate: Callable[..., Sample]
    patch_targets: Callable[[Any, TiledImage], PatchTargets]
    tasks: tuple[str, ...]
    num_labels: int


@dataclass(frozen=True)
class TiledPicture:
    """A picture that is shown before a sample's own."""

    image: TiledImage


@dataclass(frozen=True)
class TiledSample:
    """A synthetic sample ready to be asked about, once or several times; patch_targets are of all its pictures."""

    image: TiledImage
    questions: Sequence[Question]
    patch_targets: PatchTargets | None
    earlier: Sequence[TiledPicture] = ()


@dataclass(frozen=True)
class Sources:
    """Everything a mixture can name: tasks of `synth`, and conversations from files by name."""

    synth: SynthSource | None
    records: Mapping[str, Conversations]

    def check(self, names: Sequence[str]) -> None:
        """Raises MixtureError for a name that is neither a task nor a list of records."""
        tasks = self.synth.tasks if self.synth else ()
        for name in names:
            if name in self.records and not self.records[name]:
                raise MixtureError(f"mixture source {name!r} holds no records")
            if name not in self.records and name not in tasks:
                known = ", ".join([*tasks, *self.records]) or "none"
                raise MixtureError(
                    f"mixture names {name!r}, which is neither a task nor an entry of records; known: {known}"
                )


@dataclass(frozen=True)
class MixtureSpec:
    """How batches of one stage are drawn.

    weights: (name of a source, weight); the position of a name is its task number in batches.
    seed, stage: together with the number of the micro-batch they decide everything.
    num_samples: indices of each synthetic task to draw from; None for all.
    max_questions: questions asked of one image.
    conversations: of one image, among which its questions are shared out; the image lies in the batch once.
    uses: batches in which each synthetic sample comes.
    mask_prompt: whether only answers carry labels.
    with_patch_targets: whether to ask what patches show.
    penmanship: whether synthetic text is drawn in other hands here and there.
    """

    weights: tuple[tuple[str, float], ...]
    seed: int
    stage: int
    num_samples: int | None
    max_questions: int
    uses: int
    mask_prompt: bool
    with_patch_targets: bool
    penmanship: bool = False
    conversations: int = 1


class PackedDataset(Dataset[PackedBatch]):
    """Micro-batch number -> PackedBatch."""

    def __init__(
        self,
        spec: MixtureSpec,
        sources: Sources,
        renderer: SupportsRender,
        config: VL2Config,
        budget: Budget,
        pad_id: int,
    ) -> None:
        sources.check([name for name, _ in spec.weights])
        self.spec, self.sources, self.renderer = spec, sources, renderer
        self.config, self.budget, self.pad_id = config, budget, pad_id
        weights = np.asarray([weight for _, weight in spec.weights])
        self._cumulative = np.cumsum(weights / weights.sum())
        self._kept: dict[tuple[str, int], TiledSample] = {}

    def __getitem__(self, micro: int) -> PackedBatch:
        cycle, within = divmod(micro, USE_DISTANCE * self.spec.uses)
        use, place = divmod(within, USE_DISTANCE)
        first = cycle * USE_DISTANCE * self.spec.uses + place
        draws = np.random.default_rng([self.spec.seed, self.spec.stage, first])  # which samples
        rng = np.random.default_rng([self.spec.seed, self.spec.stage, micro, 1])  # what is asked about them
        vision = self.config.vision_config
        packer = Packer(
            self.budget,
            tile_size=vision.image_size,
            tile_side=self.config.tile_side,
            num_patches=vision.grid_side**2,
            pad_id=self.pad_id,
        )
        misses = failures = 0
        while misses < MAX_MISSES and packer.tokens_left > 0 and packer.num_prompts < self.budget.max_prompts:
            try:
                item = self._draw(draws, rng, keep=use + 1 < self.spec.uses)
                packer.check(item)
            except Exception as error:  # one bad sample of millions must not end a long run; many must
                failures += 1
                if failures >= MAX_FAILURES:
                    raise MixtureError(f"{failures} samples of one batch failed, the last with: {error}") from error
                continue
            misses = 0 if packer.add(item) else misses + 1
        return packer.finish(num_dropped=failures)

    def _draw(self, draws: np.random.Generator, rng: np.random.Generator, *, keep: bool) -> PackItem:
        """The next sample, rendered: `draws` chooses it, `rng` the questions; `keep` if it will come again."""
        task = min(int(np.searchsorted(self._cumulative, draws.random(), side="right")), len(self._cumulative) - 1)
        name = self.spec.weights[task][0]
        if name in self.sources.records:
            records = self.sources.records[name]
            index = int(draws.integers(len(records)))
            conversation = records[index]  # an error of reading says where by itself
            try:
                return PackItem(self._render(conversation), task)
            except (ContextError, PackingError, OSError, ValueError) as error:
                raise MixtureError(f"{records.where(index)}: {error}") from error
        index = int(draws.integers(self.spec.num_samples or _INDEX_RANGE))
        try:
            sample = self._sample(name, index, keep)
            found = sample_conversations(sample, rng, self.spec.max_questions, self.spec.conversations)
            prompt, *others = [self._render(conversation) for conversation in found]
            item = PackItem(prompt, task, sample.patch_targets, tuple(others))
            while item.others and item.num_tokens > self.budget.max_sequence:  # what is too long is asked less
                item = replace(item, others=item.others[:-1])
            return item
        except Exception as error:  # whatever a generator raises is worth nothing without the sample's name
            raise MixtureError(f"task {name!r}, seed {self.spec.seed}, index {index}: {error!r}") from error

    def _sample(self, name: str, index: int, keep: bool) -> TiledSample:
        synth = self.sources.synth
        assert synth is not None
        kept = self._kept.pop((name, index), None)
        if kept is None:
            options = {"penmanship": True} if self.spec.penmanship else {}
            sample = synth.generate(name, self.spec.seed, index, "train", **options)
            pictures = (*sample.earlier, sample)
            tiled = [self._tile(picture, tiling=len(pictures) <= MAX_TILED_IMAGES) for picture in pictures]
            targets = None
            if self.spec.with_patch_targets:
                each = [synth.patch_targets(*pair) for pair in zip(pictures, tiled, strict=True)]
                targets = PatchTargets(*(np.concatenate(parts) for parts in zip(*each, strict=True)))
            kept = TiledSample(tiled[-1], sample.questions, targets, [TiledPicture(image) for image in tiled[:-1]])
        if keep:
            self._kept[name, index] = kept
            while len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]  # the oldest
        return kept

    def _tile(self, picture: Picture, *, tiling: bool) -> TiledImage:
        assert isinstance(picture.image, PILImage.Image)  # generators draw; tiled ones are ours
        return self.renderer.tile(picture.image, tiling=tiling)

    def _render(self, conversation: Sequence[Message]) -> Prompt:
        return self.renderer.render(conversation, for_generation=False, mask_prompt=self.spec.mask_prompt)
