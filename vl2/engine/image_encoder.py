"""Images to embeddings, each picture once: cached by digest, in graphs, beside the steps of others where that can be.

    images of a step --embed: cache, or the tower, all in one batch--> embeddings by digest
    images of who waits --begin--> the tower on a stream of its own --is_ready, embed--> as above

The trap: graphs of the tower share memory, so two of them must not run at once, on whatever streams.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from vl2.engine.graphs import Graphs
from vl2.engine.image_cache import ImageCache
from vl2.engine.types import Sequence
from vl2.model.vl2 import TILES_AT_ONCE, VL2
from vl2.processing.tiling import TiledImage

_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32, 48, TILES_AT_ONCE)  # numbers of tiles of a graph


class ImageEncoder:
    """The tower of one engine.

    Args:
        cache_bytes: limit on embeddings that are kept.
        one_by_one: images go through the tower alone.
        graphs: whether it is captured and replayed.
    """

    def __init__(self, model: VL2, cache_bytes: int, one_by_one: bool, graphs: bool) -> None:
        self.model, self._one_by_one, self.use_graphs = model, one_by_one, graphs
        self.cache = ImageCache(cache_bytes)
        self.num_encoded = self.num_reused = 0
        self._graphs = Graphs()
        self._free: torch.cuda.Event | None = None  # when the last graph is done
        self._begun: dict[bytes, tuple[Tensor, torch.cuda.Event | None]] = {}
        self._stream = torch.cuda.Stream(model.device) if model.device.type == "cuda" else None

    def prepare(self) -> None:
        """Capture all graphs."""
        edge = self.model.config.vision_config.image_size
        for size in reversed(_SIZES):
            self._graphs.prepare(size, self._compute, (torch.zeros(size, 3, edge, edge, dtype=torch.uint8),))

    def embed(self, images: Mapping[bytes, TiledImage]) -> dict[bytes, Tensor]:
        """Image tokens (I, D) of images, by digest."""
        found: dict[bytes, Tensor] = {}
        for key in images:
            if (embeds_ID := self._take_over(key)) is not None:
                found[key] = embeds_ID
            elif (embeds_ID := self.cache.get(key)) is not None:
                found[key] = embeds_ID
                self.num_reused += 1
        new = {key: image for key, image in images.items() if key not in found}
        for part in [{key: image} for key, image in new.items()] if self._one_by_one else [new] if new else []:
            for key, embeds_ID in self._encode(part).items():
                found[key] = embeds_ID
                self.cache.put(key, embeds_ID)
        return found

    @torch.inference_mode()
    def begin(self, sequence: Sequence, num_cached: int) -> None:
        """Begin to encode the images of a sequence that waits.

        Args:
            num_cached: tokens of its beginning that need not be computed.
        """
        new: dict[bytes, TiledImage] = {}
        images = zip(sequence.prompt.spans, sequence.prompt.images, sequence.digests, strict=True)
        for (first, length), image, key in images:
            if first + length > num_cached and key not in self._begun and self.cache.get(key) is None:
                new[key] = image
        if new and self._stream is None:
            self._begun.update({key: (embeds_ID, None) for key, embeds_ID in self._encode(new).items()})
        elif new:
            with torch.cuda.stream(self._stream):
                embeds, ready = self._encode(new), torch.cuda.Event()
                ready.record()
            self._begun.update({key: (embeds_ID, ready) for key, embeds_ID in embeds.items()})

    def is_ready(self, sequence: Sequence) -> bool:
        """Whether none of its images is still being encoded."""
        begun = (self._begun[key][1] for key in sequence.digests if key in self._begun)
        return all(ready is None or ready.query() for ready in begun)

    def forget(self, sequence: Sequence) -> None:
        """Nobody waits any more for what was begun for it; it is cached all the same."""
        for key in sequence.digests:
            self._take_over(key)

    def tile_tokens(self, tiles_NCYX: Tensor) -> Tensor:
        """As VL2.tile_tokens; where graphs are used, replayed for a few more tiles that do not matter."""
        if not self.use_graphs:
            return self.model.tile_tokens(tiles_NCYX)
        count, on_gpu = len(tiles_NCYX), self._stream is not None
        size = next(size for size in _SIZES if size >= count)
        given = torch.empty(size, *tiles_NCYX.shape[1:], dtype=torch.uint8, pin_memory=on_gpu)
        given[:count] = tiles_NCYX
        if self._free is not None:
            torch.cuda.current_stream().wait_event(self._free)
        (tokens_NQD,) = self._graphs.replay(size, self._compute, (given,))
        out = tokens_NQD[:count].clone()
        if on_gpu:
            self._free = torch.cuda.Event()
            self._free.record()
        return out

    def _take_over(self, key: bytes) -> Tensor | None:
        """An image that was begun, from now on for steps of the current stream."""
        embeds_ID, ready = self._begun.pop(key, (None, None))
        if embeds_ID is not None:
            if ready is not None:
                torch.cuda.current_stream().wait_event(ready)
                embeds_ID.record_stream(torch.cuda.current_stream())
            self.cache.put(key, embeds_ID)
        return embeds_ID

    def _encode(self, images: Mapping[bytes, TiledImage]) -> dict[bytes, Tensor]:
        self.num_encoded += len(images)
        tiles = [torch.from_numpy(image.unique_tiles_NCYX) for image in images.values()]
        embeds = self.model.embed_images(tiles, [image.grid for image in images.values()], self.tile_tokens)
        return dict(zip(images, embeds, strict=True))

    def _compute(self, tiles_NCYX: Tensor) -> tuple[Tensor]:
        return (self.model.tile_tokens(tiles_NCYX),)
