"""Image embeddings by digest, so that a picture asked about again is not encoded again."""

from collections import OrderedDict
from hashlib import sha256

from torch import Tensor

from vl2.processing.tiling import TiledImage


def digest(image: TiledImage) -> bytes:
    """SHA-256 of an image's pixels and tiling."""
    tiles = image.unique_tiles_NCYX
    head = f"{tiles.shape} {image.grid.rows} {image.grid.cols} ".encode()
    return sha256(head + tiles.tobytes()).digest()


class ImageCache:
    """Embeddings (I, D) of images; those unused longest are dropped beyond `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def get(self, key: bytes) -> Tensor | None:
        embeds_ID = self._kept.get(key)
        if embeds_ID is not None:
            self._kept.move_to_end(key)
        return embeds_ID

    def put(self, key: bytes, embeds_ID: Tensor) -> None:
        if key in self._kept:
            return
        self._kept[key] = embeds_ID
        self.num_bytes += embeds_ID.nbytes
        while self.num_bytes > self.max_bytes:
            self.num_bytes -= self._kept.popitem(last=False)[1].nbytes
