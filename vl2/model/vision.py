"""SigLIP vision tower (SPEC C; timm layout of parameter names).

    tiles_NCYX --patch embedding + positions--> (N, P, W) --pre-norm blocks--> final norm --> patch features

The traps: the tower's GELU is the tanh approximation; the pooling head is stored in checkpoints but never run.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vl2.config import VisionConfig
from vl2.kernels.attention import cudnn_attention
from vl2.kernels.linear import linear_gelu
from vl2.kernels.norm import add_layer_norm, layer_norm

_EPS = 1e-6


class LayerNorm(nn.LayerNorm):
    """torch's, which on CUDA also takes what is still to be added to the stream."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=_EPS)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.weight, self.bias, self.eps)

    def after_adding(self, x_NPW: Tensor, delta_NPW: Tensor | None) -> tuple[Tensor, Tensor]:
        """x + delta, and the norm of that."""
        if delta_NPW is None:
            return x_NPW, self(x_NPW)
        return add_layer_norm(x_NPW, delta_NPW, self.weight, self.bias, self.eps)


class PatchEmbed(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, tiles_NCYX: Tensor) -> Tensor:
        """As the convolution does, which for patches that do not overlap is slower than one product."""
        patch = self.proj.kernel_size[0]
        rows, cols = tiles_NCYX.shape[2] // patch, tiles_NCYX.shape[3] // patch  # what is left of a patch is not seen
        seen = tiles_NCYX[:, :, : rows * patch, : cols * patch]
        cells = seen.unflatten(3, (cols, patch)).unflatten(2, (rows, patch)).permute(0, 2, 4, 1, 3, 5)
        return F.linear(cells.flatten(3).flatten(1, 2), self.proj.weight.flatten(1), self.proj.bias)


class Attention(nn.Module):
    """Bidirectional attention among the patches of one tile."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_NPW: Tensor) -> Tensor:
        q, k, v = self.qkv(x_NPW).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(cudnn_attention(q, k, v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x_NPW: Tensor) -> Tensor:
        return self.fc2(linear_gelu(x_NPW, self.fc1.weight, self.fc1.bias))


class Block(nn.Module):
    """x += attention(norm(x)); x += mlp(norm(x)).

    The second sum is left to the next norm, which adds and normalises in one pass over the stream.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = LayerNorm(config.width)
        self.attn = Attention(config.width, config.heads)
        self.norm2 = LayerNorm(config.width)
        self.mlp = MLP(config.width, config.mlp_width)

    def forward(self, x_NPW: Tensor, delta_NPW: Tensor | None) -> tuple[Tensor, Tensor]:
        """The stream, and what is still to be added to it."""
        x_NPW, normed_NPW = self.norm1.after_adding(x_NPW, delta_NPW)
        x_NPW, normed_NPW = self.norm2.after_adding(x_NPW, self.attn(normed_NPW))
        return x_NPW, self.mlp(normed_NPW)


class AttentionPool(nn.Module):
    """SigLIP's pooling head. Checkpoints hold its weights; image tokens come from patches, so it never runs."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.width
        self.latent = nn.Parameter(torch.zeros(1, 1, width))
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.norm = LayerNorm(width)
        self.mlp = MLP(width, config.mlp_width)


class VisionTower(nn.Module):
    """Tiles (N, 3, Y, X) to patch features (N, P, W), after the final norm."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid_side**2, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = LayerNorm(config.width)
        self.attn_pool = AttentionPool(config)

    def forward(self, tiles_NCYX: Tensor) -> Tensor:
        size = self.config.image_size
        assert tiles_NCYX.shape[1:] == (3, size, size), tiles_NCYX.shape
        x_NPW = self.patch_embed(tiles_NCYX) + self.pos_embed
        delta_NPW: Tensor | None = None
        for block in self.blocks:
            x_NPW, delta_NPW = block(x_NPW, delta_NPW)
        return self.norm.after_adding(x_NPW, delta_NPW)[1]
