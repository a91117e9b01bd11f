"""Prompts with pictures, for tests that need no tokenizer."""

import numpy as np

from vl2.bench.ours import text_prompt
from vl2.config import VL2Config
from vl2.layout import TileGrid, image_token_count
from vl2.processing.render import Prompt
from vl2.processing.tiling import TiledImage


def pictured(config: VL2Config, seed: int) -> Prompt:
    """A prompt with an image of two tiles beside each other."""
    grid = TileGrid(rows=1, cols=2)
    count, edge = image_token_count(grid, config.tile_side), config.vision_config.image_size
    tiles = np.random.default_rng(seed).integers(0, 256, (3, 3, edge, edge), dtype=np.uint8)
    ids = [3] + [2] * count + text_prompt(config, 12, seed).input_ids
    return Prompt(ids, ids, ((1, count),), (TiledImage(tiles, grid, (100, 50)),))
