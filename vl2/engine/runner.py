"""Chunks of a step to chosen tokens: the only part of the engine that touches the model and its tensors.

    few tokens after cached ones     one row each --DecodeGraph--> chosen tokens
    short prompts from their start   embeddings --PromptGraph--> chosen tokens
    anything else                    images not seen before --embed_images, all in one batch--> embeddings, by digest
                                     token ids + embeddings of image tokens --> x_TD --model, PagedSequences--> logits
                                     --choose--> chosen tokens

`launch` returns while the device still works; the newest token of every sequence stays there for the next step, so
that nobody has to wait for the host to see it. The trap: everything between two launches must be asked for without
waiting, or the device runs dry.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vl2.engine.decode_graph import DecodeGraph, Rows, unpack_options
from vl2.engine.graphs import Graphs
from vl2.engine.image_cache import ImageCache
from vl2.engine.paged_cache import EXPAND_ABOVE, PagedCache, PagedSequences, by_kind
from vl2.engine.prompt_graph import PromptGraph
from vl2.engine.types import Chunk
from vl2.engine.types import Sequence as RunningSequence
from vl2.kernels.choose import choose
from vl2.model.attention import MHA, MLA
from vl2.model.layers import SwiGLU, join
from vl2.model.rope import rope_table
from vl2.model.vl2 import TILES_AT_ONCE, VL2
from vl2.processing.tiling import TiledImage

_NUMBERS_OF_TILES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32, 48, TILES_AT_ONCE)  # of a graph


@dataclass(frozen=True)
class Step:
    """A step under way.

    chunks: with the number of tokens chosen for each, in the order of the rows.
    tokens: of all choices; on the host, once `ready` has happened.
    logits_SV: of all choices, until the next launch.
    """

    chunks: list[tuple[Chunk, int]]
    tokens: Tensor
    logits_SV: Tensor
    ready: torch.cuda.Event | None

    def wait(self) -> list[int]:
        """The chosen tokens."""
        if self.ready is not None:
            self.ready.synchronize()
        return self.tokens.tolist()


class Runner:
    """A model with its paged cache and its cache of image embeddings.

    Args:
        max_running: sequences that may run at a time.
        deterministic: chunks and images go through the model one by one, since a matrix product may round differently
            with its number of rows.
        graphs: whether small steps are captured once and replayed, where that is possible.
    """

    def __init__(
        self, model: VL2, num_blocks: int, block_size: int, image_cache_bytes: int, max_running: int,
        deterministic: bool = False, graphs: bool = True,
    ) -> None:  # fmt: skip
        self.model, self._deterministic = model, deterministic
        text = model.config.language_config
        if model.device.type == "cuda":
            join_projections(model)
        self.cache = PagedCache(text, num_blocks, block_size, model.device, model.dtype)
        self.images = ImageCache(image_cache_bytes)
        self.num_encoded_images = self.num_reused_images = 0
        positions = torch.arange(text.max_position_embeddings, device=model.device)
        self._rope = rope_table(text, positions)
        self._beside: dict[bytes, tuple[Tensor, torch.cuda.Event | None]] = {}  # images that are being encoded
        self._side = torch.cuda.Stream(model.device) if model.device.type == "cuda" else None
        self._newest = torch.zeros(max_running + 1, dtype=torch.long, device=model.device)  # the last is for padding
        self._rows = Rows(max_running, -(-text.max_position_embeddings // block_size), model.device)
        self.graphs = Graphs()
        self._tower = Graphs()  # apart, since it may run beside the others
        self._decode = DecodeGraph(model, self.cache, self._rope, self._newest, self._rows, self.graphs)
        self._prompts = PromptGraph(model, self.cache, self._rope, self._newest, self._rows, self.graphs)
        self.use_graphs = graphs and model.device.type == "cuda" and not deterministic

    @torch.inference_mode()
    def prepare(self) -> None:
        """Capture all graphs that steps may need."""
        if not (self.use_graphs and self.cache.has_kernel):
            return
        self._decode.prepare(len(self._newest) - 1)
        self._prompts.prepare()
        edge = self.model.config.vision_config.image_size
        for size in reversed(_NUMBERS_OF_TILES):
            tiles = torch.zeros(size, 3, edge, edge, dtype=torch.uint8)
            self._tower.prepare(("tiles", size), self._encode_tiles, (tiles,))

    @torch.inference_mode()
    def launch(self, chunks: Sequence[Chunk]) -> Step:
        """Start computing the chunks; what they choose is known once the step is waited for."""
        chunks = by_kind(chunks)
        choices = [(chunk, chunk.num_choices) for chunk in chunks]
        if self._decodes(chunks):
            tokens, logits_SV = self._replay(chunks)
        elif self.use_graphs and self._prompts.takes(chunks):
            tokens, logits_SV = self._prompts.replay(self._embed(chunks), chunks)
        else:
            groups = [[chunk] for chunk in chunks] if self._deterministic else [chunks]
            logits_SV = torch.cat([self._run(group) for group in groups])
            tokens = self._choose(chunks, logits_SV)
        if tokens.device.type != "cuda":
            return Step(choices, tokens, logits_SV, None)
        on_host = torch.empty(len(tokens), dtype=tokens.dtype, pin_memory=True).copy_(tokens, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record()
        return Step(choices, on_host, logits_SV, ready)

    def _decodes(self, chunks: Sequence[Chunk]) -> bool:
        """Whether a step has only a few tokens, all after cached ones."""
        if not (self.use_graphs and self.cache.has_kernel):
            return False
        small = all(chunk.start and chunk.count <= EXPAND_ABOVE and not _has_image(chunk) for chunk in chunks)
        return small and sum(chunk.count for chunk in chunks) <= self._decode.most

    def _replay(self, chunks: Sequence[Chunk]) -> tuple[Tensor, Tensor]:
        """Chosen tokens and logits of all choices."""
        count = sum(chunk.count for chunk in chunks)
        rows = self._rows.fill(chunks, self._decode.size_for(count))
        tokens, logits_SV = self._decode.replay(rows)
        if all(chunk.num_choices == chunk.count for chunk in chunks):
            return tokens[:count], logits_SV[:count]
        chosen = self._to_device(_choice_rows(chunks))
        return tokens[chosen], logits_SV[chosen]

    def _embed(self, chunks: Sequence[Chunk]) -> Tensor:
        """Embeddings (T, D) of all tokens of the chunks."""
        ids_T = self._to_device([token for chunk in chunks for token in chunk.tokens])
        ends = itertools.accumulate(chunk.count for chunk in chunks)
        unknown = [(end - 1, chunk.sequence.slot) for chunk, end in zip(chunks, ends, strict=True) if chunk.is_unknown]
        if unknown:
            rows, slots = (self._to_device(numbers) for numbers in zip(*unknown, strict=True))
            ids_T[rows] = self._newest[slots]
        x_TD = self.model.language.embed_tokens(ids_T)
        self._put_images(x_TD, chunks)
        return x_TD

    def _run(self, chunks: Sequence[Chunk]) -> Tensor:
        x_TD = self._embed(chunks)
        context = PagedSequences(self.cache, chunks)
        hidden_TD, _ = self.model(x_TD, context.positions_T, context, self._rope.at(context.positions_T))
        return self.model.logits(hidden_TD[self._to_device(_choice_rows(chunks))])

    def _choose(self, chunks: Sequence[Chunk], logits_SV: Tensor) -> Tensor:
        """Tokens of all choices; the last of each chunk becomes its sequence's newest."""
        chosen = [chunk for chunk in chunks for _ in range(chunk.num_choices)]
        if not chosen:
            return torch.empty(0, dtype=torch.long, device=logits_SV.device)
        numbers = [number for chunk in chunks for number in range(chunk.num_choices)]
        options = self._rows.options(chosen, numbers).to(logits_SV.device, non_blocking=True)
        tokens = choose(logits_SV, *unpack_options(options))
        ending = [chunk for chunk in chunks if chunk.num_choices]
        last = np.cumsum([chunk.num_choices for chunk in ending]) - 1
        self._newest[self._to_device([chunk.sequence.slot for chunk in ending])] = tokens[
            self._to_device(last.tolist())
        ]
        return tokens

    def _to_device(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long).to(self.model.device, non_blocking=True)

    def _put_images(self, x_TD: Tensor, chunks: Sequence[Chunk]) -> None:
        """Write the embeddings of image tokens over their placeholders."""
        places: list[tuple[int, int, int, bytes]] = []  # row of x, first and last of the image's tokens, image
        needed: dict[bytes, TiledImage] = {}
        row = 0
        for chunk in chunks:
            sequence, end = chunk.sequence, chunk.start + chunk.count
            images = zip(sequence.prompt.spans, sequence.prompt.images, sequence.digests, strict=True)
            for (first, length), image, key in images:
                low, high = max(first, chunk.start), min(first + length, end)
                if low < high:
                    places.append((row + low - chunk.start, low - first, high - first, key))
                    needed[key] = image
            row += chunk.count
        embeds = self._encode(needed)
        for start, low, high, key in places:
            x_TD[start : start + high - low] = embeds[key][low:high]

    @torch.inference_mode()
    def encode_beside(self, sequence: RunningSequence, num_cached: int) -> None:
        """Begin to encode the images of a sequence that waits, beside the steps of others.

        Args:
            num_cached: tokens of its beginning that need not be computed.
        """
        new: dict[bytes, TiledImage] = {}
        images = zip(sequence.prompt.spans, sequence.prompt.images, sequence.digests, strict=True)
        for (first, length), image, key in images:
            if first + length > num_cached and key not in self._beside and self.images.get(key) is None:
                new[key] = image
        if not new:
            return
        ready = None
        if self._side is None:
            embeds = self._encode_together(new)
        else:
            with torch.cuda.stream(self._side):
                embeds = self._encode_together(new)
                ready = torch.cuda.Event()
                ready.record()
        self._beside.update({key: (embeds_ID, ready) for key, embeds_ID in embeds.items()})

    def is_ready(self, sequence: RunningSequence) -> bool:
        """Whether none of its images is still being encoded."""
        under_way = (self._beside[key][1] for key in sequence.digests if key in self._beside)
        return all(ready is None or ready.query() for ready in under_way)

    def forget(self, sequence: RunningSequence) -> None:
        """Nobody waits any more for what was encoded for it; it is cached all the same."""
        for key in sequence.digests:
            self._take_over(key)

    def _take_over(self, key: bytes) -> Tensor | None:
        """An image that was encoded beside other steps, from now on for this step."""
        embeds_ID, ready = self._beside.pop(key, (None, None))
        if embeds_ID is not None:
            if ready is not None:
                torch.cuda.current_stream().wait_event(ready)
                embeds_ID.record_stream(torch.cuda.current_stream())
            self.images.put(key, embeds_ID)
        return embeds_ID

    def _encode(self, images: dict[bytes, TiledImage]) -> dict[bytes, Tensor]:
        """Embeddings of images by digest; those not in the cache go through the tower together."""
        found: dict[bytes, Tensor] = {}
        for key in images:
            if (embeds_ID := self._take_over(key)) is not None:
                found[key] = embeds_ID
            elif (embeds_ID := self.images.get(key)) is not None:
                found[key] = embeds_ID
                self.num_reused_images += 1
        new = {key: image for key, image in images.items() if key not in found}
        for part in [{key: image} for key, image in new.items()] if self._deterministic else [new] if new else []:
            for key, embeds_ID in self._encode_together(part).items():
                found[key] = embeds_ID
                self.images.put(key, embeds_ID)
        return found

    def _encode_together(self, images: dict[bytes, TiledImage]) -> dict[bytes, Tensor]:
        self.num_encoded_images += len(images)
        tiles = [torch.from_numpy(image.unique_tiles_NCYX) for image in images.values()]
        embeds = self.model.embed_images(tiles, [image.grid for image in images.values()], self.tile_tokens)
        return dict(zip(images, embeds, strict=True))

    def tile_tokens(self, tiles_NCYX: Tensor) -> Tensor:
        """As VL2.tile_tokens; where graphs are used, replayed for a few more tiles that do not matter."""
        if not self.use_graphs:
            return self.model.tile_tokens(tiles_NCYX)
        count = len(tiles_NCYX)
        size = next(size for size in _NUMBERS_OF_TILES if size >= count)
        given = torch.empty(size, *tiles_NCYX.shape[1:], dtype=torch.uint8, pin_memory=self.model.device.type == "cuda")
        given[:count] = tiles_NCYX
        (tokens_NQD,) = self._tower.replay(("tiles", size), self._encode_tiles, (given,))
        return tokens_NQD[:count].clone()

    def _encode_tiles(self, tiles_NCYX: Tensor) -> tuple[Tensor]:
        return (self.model.tile_tokens(tiles_NCYX),)


def join_projections(model: VL2) -> None:
    """Lay weights that multiply the same tokens side by side, so that one product does for all. Moves, not copies."""
    for module in model.modules():
        if isinstance(module, MHA) and module.q_proj.bias is None:
            join(module.q_proj, module.k_proj, module.v_proj)
        elif isinstance(module, MLA) and module.kv_a_proj_with_mqa.bias is None:
            join(module.q_proj if module.q_rank is None else module.q_a_proj, module.kv_a_proj_with_mqa)
        elif isinstance(module, SwiGLU):
            join(module.gate_proj, module.up_proj)


def _choice_rows(chunks: Sequence[Chunk]) -> list[int]:
    """Rows of the step whose logits are asked for."""
    ends = np.cumsum([chunk.count for chunk in chunks]).tolist()
    return [row for chunk, end in zip(chunks, ends, strict=True) for row in range(end - chunk.num_choices, end)]


def _has_image(chunk: Chunk) -> bool:
    end = chunk.start + chunk.count
    return any(first < end and chunk.start < first + length for first, length in chunk.sequence.prompt.spans)
