"""Projector: 2x2 merge of patches and an MLP, from the tower to the language model (SPEC C6, C7).

    (N, P, W) --grid, zero-pad right and bottom--> 2x2 cells, features channel-major --> MLP --> tile tokens (N, Q, D)

The traps: padding comes after the tower's final norm; a cell's feature order is 4*channel + 2*dy + dx; GELU is exact.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from vl2.config import ProjectorConfig


class Projector(nn.Module):
    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        self.ratio = config.downsample_ratio
        width = config.n_embed * config.mlp_ratio
        layers: list[nn.Module] = [nn.Linear(config.input_dim * self.ratio**2, width)]
        for _ in range(config.depth - 2):
            layers += [nn.GELU(), nn.Linear(width, width)]
        self.layers = nn.Sequential(*layers, nn.GELU(), nn.Linear(width, config.n_embed))

    def forward(self, patches_NPW: Tensor) -> Tensor:
        side, ratio = round(patches_NPW.shape[1] ** 0.5), self.ratio
        grid = patches_NPW.unflatten(1, (side, side))
        pad = -side % ratio
        grid = F.pad(grid, (0, 0, 0, pad, 0, pad))
        cells = grid.unflatten(2, (-1, ratio)).unflatten(1, (-1, ratio))  # (N, y, dy, x, dx, W)
        return self.layers(cells.permute(0, 1, 3, 5, 2, 4).flatten(3).flatten(1, 2))
