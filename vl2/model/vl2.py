"""The whole model: tiles and token ids in, logits out.

tiles_NCYX --vision--> (N, P, W) --projector--> tile_tokens_NQD --layout_images--> image_embeds_ID
input_ids_T, image_embeds_ID --embed--> x_TD --language--> hidden_TD --logits--> (T, V) float32
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vl2.config import VL2Config
from vl2.kernels.team import Team
from vl2.layout import NEWLINE, SEPARATOR, TileGrid, tile_token_index
from vl2.model.attention import AttentionContext
from vl2.model.decoder import Decoder
from vl2.model.layers import project
from vl2.model.moe import RoutedExperts, Router, RouterStats
from vl2.model.parts import require_divisible
from vl2.model.projector import Projector
from vl2.model.rope import RopeTable
from vl2.model.vision import VisionTower

TILES_AT_ONCE = 64  # through the tower when images are embedded


class VL2(nn.Module):
    """`team`: of a model that several ranks hold together, each its part of the language model (`parts.py`)."""

    def __init__(self, config: VL2Config, team: Team | None = None) -> None:
        super().__init__()
        if team is not None:
            require_divisible(config, team.count)
        self.config = config
        hidden = config.language_config.hidden_size
        self.vision = VisionTower(config.vision_config)
        self.projector = Projector(config.projector_config)
        self.image_newline = nn.Parameter(torch.zeros(hidden))
        self.view_seperator = nn.Parameter(torch.zeros(hidden))  # the published spelling
        self.language = Decoder(config.language_config, team)

    @property
    def device(self) -> torch.device:
        return self.image_newline.device

    @property
    def dtype(self) -> torch.dtype:
        return self.image_newline.dtype

    @property
    def team(self) -> Team | None:
        """The ranks that hold this model together; None if it is whole."""
        return self.language.team

    def initialize(self, seed: int) -> None:
        """Random weights for training from scratch: normal with std initializer_range, or fan-in where width asks."""
        generator = torch.Generator(self.device).manual_seed(seed)
        std = self.config.language_config.initializer_range
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
                nn.init.normal_(module.weight, std=std, generator=generator)
                if not isinstance(module, nn.Embedding) and module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Router):
                nn.init.normal_(module.weight, std=std, generator=generator)
            elif isinstance(module, RoutedExperts):
                nn.init.normal_(module.gate_up, std=std, generator=generator)
                nn.init.normal_(module.down, std=std, generator=generator)
        nn.init.normal_(self.vision.pos_embed, std=std, generator=generator)
        nn.init.normal_(self.vision.attn_pool.latent, std=std, generator=generator)
        edge = 1 / math.sqrt(self.image_newline.numel())  # SPEC D
        nn.init.normal_(self.image_newline, std=edge, generator=generator)
        nn.init.normal_(self.view_seperator, std=edge, generator=generator)

    def pixel_values(self, tiles_NCYX: Tensor) -> Tensor:
        """uint8 tiles to the tower's input range, about -1..1, in the model's dtype."""
        scaled = tiles_NCYX.to(self.device, non_blocking=True) / 127.5  # float32
        return scaled.sub_(1.0).to(self.dtype)

    def encode_tiles(self, tiles_NCYX: Tensor) -> tuple[Tensor, Tensor]:
        """Float tiles (N, 3, 384, 384) to patch features (N, P, W) and tile tokens (N, Q, D)."""
        patches_NPW = self.vision(tiles_NCYX)
        return patches_NPW, self.projector(patches_NPW)

    def layout_images(self, tile_tokens_NQD: Tensor, index_I: Tensor) -> Tensor:
        """Order tile tokens, newlines and separators of images as `image_token_index` says: (I, D)."""
        edges = torch.stack([self.image_newline, self.view_seperator]).to(tile_tokens_NQD.dtype)
        # float32, since gradients of thousands of newlines add up; index_select adds them without sorting the index
        sources = torch.cat([tile_tokens_NQD.flatten(0, 1), edges]).float()
        return sources.index_select(0, index_I).to(tile_tokens_NQD.dtype)

    def encode_images(self, tiles_NCYX: Tensor, grids: Sequence[TileGrid]) -> Tensor:
        """All image tokens (I, D) of images given by their stacked float tiles and grids, in order."""
        _, tile_tokens_NQD = self.encode_tiles(tiles_NCYX)
        starts, total = [], 0
        for grid in grids:
            starts.append(list(range(total, total + grid.num_tiles)))
            total += grid.num_tiles
        if total != len(tiles_NCYX):
            raise ValueError(f"grids {list(grids)} need {total} tiles, got {len(tiles_NCYX)}")
        index = image_token_index(grids, starts, total, self.config.tile_side)
        return self.layout_images(tile_tokens_NQD, torch.tensor(index, device=tile_tokens_NQD.device))

    def tile_tokens(self, tiles_NCYX: Tensor) -> Tensor:
        """uint8 tiles (N, 3, Y, X) to tile tokens (N, Q, D)."""
        return self.encode_tiles(self.pixel_values(tiles_NCYX))[1]

    def embed_images(
        self, tiles: Sequence[Tensor], grids: Sequence[TileGrid], encode: Callable[[Tensor], Tensor] | None = None
    ) -> list[Tensor]:
        """Image tokens (I, D) of each image, all tiles encoded together.

        Args:
            tiles: uint8 tiles (n, 3, Y, X) of each image; of a 1x1 image one tile that is both of its views, or two.
            encode: a faster way to do what `tile_tokens` does.
        """
        parts = torch.cat(list(tiles)).split(TILES_AT_ONCE)
        tile_tokens_NQD = torch.cat([(encode or self.tile_tokens)(part) for part in parts])
        out, first = [], 0
        for own, grid in zip(tiles, grids, strict=True):
            names = [first + number % len(own) for number in range(grid.num_tiles)]
            first += len(own)
            index = image_token_index([grid], [names], len(tile_tokens_NQD), self.config.tile_side)
            out.append(self.layout_images(tile_tokens_NQD, torch.tensor(index).to(self.device, non_blocking=True)))
        return out

    def embed(self, input_ids_T: Tensor, image_positions_I: Tensor, image_embeds_ID: Tensor) -> Tensor:
        """Token embeddings (T, D) with image tokens written at `image_positions_I`."""
        if image_positions_I.numel() != image_embeds_ID.shape[0]:
            raise ValueError(
                f"the prompt holds {image_positions_I.numel()} image placeholders but "
                f"{image_embeds_ID.shape[0]} image tokens were encoded"
            )
        x_TD = self.language.embed_tokens(input_ids_T)
        if image_positions_I.numel() == 0 and not image_embeds_ID.requires_grad:  # else ranks wait for its gradient
            return x_TD
        return x_TD.index_copy(0, image_positions_I, image_embeds_ID.to(x_TD.dtype))

    def forward(
        self, x_TD: Tensor, positions_T: Tensor, context: AttentionContext, rope: RopeTable | None = None
    ) -> tuple[Tensor, list[RouterStats]]:
        """As Decoder.forward."""
        return self.language(x_TD, positions_T, context, rope)

    def logits(self, hidden_TD: Tensor) -> Tensor:
        """(T, V) float32."""
        logits_TV = project(hidden_TD, self.language.lm_head)[0]
        return logits_TV.float() if self.team is None else self.team.gather(logits_TV)


def image_token_index(
    grids: Sequence[TileGrid], tiles: Sequence[Sequence[int]], num_tiles: int, side: int
) -> list[int]:
    """Flat sources of the image tokens of several images, for `VL2.layout_images`.

    Args:
        grids: one per image.
        tiles: for each image, which of the encoded tiles is its global view and which are its local tiles; a
            1x1 image may name one tile twice, since both views show the same pixels.
        num_tiles: tiles encoded in all; newline and separator follow their tokens.
        side: tile tokens along a tile's edge.
    """
    per_tile = side * side
    edges = {NEWLINE: num_tiles * per_tile, SEPARATOR: num_tiles * per_tile + 1}
    index: list[int] = []
    for grid, names in zip(grids, tiles, strict=True):
        for source in tile_token_index(grid, side):
            index.append(edges[source] if source < 0 else names[source // per_tile] * per_tile + source % per_tile)
    return index
