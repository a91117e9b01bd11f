"""Chunks of a step to logits: the only part of the engine that touches the model and its tensors.

images of the chunks not seen before --encode_tiles, all in one batch--> embeddings, cached by digest
token ids + embeddings of the image tokens in the chunks --> x_TD --model, PagedSequences--> hidden_TD
--last token of each chunk that ends its sequence, and its drafts--> logits_SV
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vl2.engine.image_cache import ImageCache
from vl2.engine.paged_cache import PagedCache, PagedSequences, by_kind
from vl2.engine.types import Chunk
from vl2.model.vl2 import VL2
from vl2.processing.tiling import TiledImage


class Runner:
    """A model with its paged cache and its cache of image embeddings.

    Args:
        deterministic: chunks and images go through the model one by one, since a matrix product may round differently
            with its number of rows.
    """

    def __init__(
        self, model: VL2, num_blocks: int, block_size: int, image_cache_bytes: int, deterministic: bool = False
    ) -> None:
        self.model, self._deterministic = model, deterministic
        self.cache = PagedCache(model.config.language_config, num_blocks, block_size, model.device, model.dtype)
        self.images = ImageCache(image_cache_bytes)
        self.num_encoded_images = self.num_reused_images = 0

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> tuple[list[Chunk], Tensor]:
        """Compute the chunks; returns them in another order, and the logits (S, V) float32 of all their choices."""
        chunks = by_kind(chunks)
        groups = [[chunk] for chunk in chunks] if self._deterministic else [chunks]
        return chunks, torch.cat([self._run(group) for group in groups])

    def _run(self, chunks: Sequence[Chunk]) -> Tensor:
        ids = [token for chunk in chunks for token in chunk.tokens]
        x_TD = self.model.language.embed_tokens(torch.tensor(ids, device=self.model.device))
        self._put_images(x_TD, chunks)
        context = PagedSequences(self.cache, chunks)
        hidden_TD, _ = self.model(x_TD, context.positions_T, context)
        ends = np.cumsum([chunk.count for chunk in chunks]).tolist()
        rows = [row for chunk, end in zip(chunks, ends, strict=True) for row in range(end - chunk.num_choices, end)]
        chosen = torch.tensor(rows, dtype=torch.long, device=hidden_TD.device)
        return self.model.logits(hidden_TD[chosen])

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

    def _encode(self, images: dict[bytes, TiledImage]) -> dict[bytes, Tensor]:
        """Embeddings of images by digest; those not in the cache go through the tower together."""
        found = {key: embeds_ID for key in images if (embeds_ID := self.images.get(key)) is not None}
        new = {key: image for key, image in images.items() if key not in found}
        self.num_reused_images += len(found)
        self.num_encoded_images += len(new)
        for keys in [[key] for key in new] if self._deterministic else [list(new)] if new else []:
            tiles = [torch.from_numpy(new[key].unique_tiles_NCYX) for key in keys]
            embeds = self.model.embed_images(tiles, [new[key].grid for key in keys])
            for key, embeds_ID in zip(keys, embeds, strict=True):
                found[key] = embeds_ID
                self.images.put(key, embeds_ID)
        return found
