"""Multi-head attention (Tiny) and multi-head latent attention (Small, Base, Nano) over packed tokens.

x_TD -> queries, and a row to cache: keys and values (MHA), or a latent and one rotated key (MLA)
     -> context.attend_heads / attend_latent   (who attends to whom, and what is cached: model/cache.py)
     -> o_proj -> (T, D)
"""

from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor, nn

from vl2.config import LanguageConfig
from vl2.kernels.latent import absorb, rows_and_absorb, values
from vl2.kernels.rotary import Place, heads_rows
from vl2.kernels.team import Team
from vl2.model.layers import RMSNorm, project, project_part
from vl2.model.rope import RopeTable, softmax_scale


@dataclass(frozen=True)
class LatentWeights:
    """kv_b_proj seen per head: the first `key` rows of `kv_b @ latent` are a key, the others a value.

    absorbed_THZ: what `absorb` returns, if that is known already.
    """

    kv_b: Tensor
    key: int
    absorbed_THZ: Tensor | None = None

    @property
    def w_k_HKZ(self) -> Tensor:
        return self.kv_b[:, : self.key]

    @property
    def w_v_HUZ(self) -> Tensor:
        return self.kv_b[:, self.key :]

    def absorb(self, q_nope_THK: Tensor) -> Tensor:
        """Queries against latents instead of keys, (T, H, Z)."""
        return absorb(q_nope_THK, self.w_k_HKZ) if self.absorbed_THZ is None else self.absorbed_THZ

    def values(self, o_THZ: Tensor) -> Tensor:
        """Weighted sums of latents to weighted sums of values, (T, H, U)."""
        return values(o_THZ, self.w_v_HUZ)

    @property
    def latent(self) -> int:
        """Z, where in a cached row the latent ends and the key begins."""
        return self.kv_b.shape[2]

    def expand(self, rows_LJ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys (L, H, K) and values (L, H, U) of all heads from what is cached of L tokens, and rotated keys (L, R)."""
        latent_LZ, k_rope_LR = rows_LJ[:, : self.latent], rows_LJ[:, self.latent :]
        expanded = (latent_LZ @ self.kv_b.flatten(0, 1).T).unflatten(-1, (len(self.kv_b), -1))
        return expanded[..., : self.key], expanded[..., self.key :], k_rope_LR


class AttentionContext(Protocol):
    """Decides which tokens see which, and owns whatever is cached. Called once per layer, in layer order.

    Rows of new tokens are kept, where `place` says, before anyone attends.
    """

    def place(self, layer: int) -> Place | None:
        """Where the rows of new tokens are kept, if they are."""
        ...

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        """Ordinary heads; rows are the keys of G heads, which divide H, then their values. Returns (T, H, K)."""
        ...

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        """Latent heads; rows are normed latents, then rotated keys. Returns (T, H, U)."""
        ...


class MHA(nn.Module):
    """Llama-style attention, half-split rotation over the whole head (SPEC E1). `team`: ranks that divide the heads."""

    def __init__(self, config: LanguageConfig, layer: int, team: Team | None = None) -> None:
        super().__init__()
        self._team, ranks = team, team.count if team else 1
        self.layer, self.width, self.scale = layer, config.head_dim, softmax_scale(config)
        hidden, bias = config.hidden_size, config.attention_bias
        heads, kv_heads = config.num_attention_heads // ranks, config.num_key_value_heads // ranks
        self.q_proj = nn.Linear(hidden, heads * self.width, bias=bias)
        self.k_proj = nn.Linear(hidden, kv_heads * self.width, bias=bias)
        self.v_proj = nn.Linear(hidden, kv_heads * self.width, bias=bias)
        self.o_proj = nn.Linear(heads * self.width, hidden, bias=bias)

    def forward(self, x_TD: Tensor, rope: RopeTable, context: AttentionContext) -> Tensor:
        projected = project(x_TD, self.q_proj, self.k_proj, self.v_proj)
        q_THK, k_TGK, v_TGK = (part.unflatten(-1, (-1, self.width)) for part in projected)
        q_THK, rows_TJ = heads_rows(q_THK, k_TGK, v_TGK, *rope, context.place(self.layer))
        out = context.attend_heads(self.layer, q_THK, rows_TJ, self.scale)
        return project_part(out.flatten(1), self.o_proj, self._team)


class PerHead(nn.Linear):
    """A matrix that is read head by head and never multiplied with tokens as it is."""

    def forward(self, heads: int) -> Tensor:  # type: ignore[override]
        """Its rows by head. A call, not an attribute, so that an adapter can change what comes out."""
        return self.weight.unflatten(0, (heads, -1))


class MLA(nn.Module):
    """Latent attention: keys and values of all heads come from one cached latent (SPEC E2; DeepSeek-V2, 2.1).

    team: ranks that divide the heads; each has the latent whole.
    """

    def __init__(self, config: LanguageConfig, layer: int, team: Team | None = None) -> None:
        super().__init__()
        self._team, ranks = team, team.count if team else 1
        assert config.kv_lora_rank is not None
        self.layer, self.scale, self.heads = layer, softmax_scale(config), config.num_attention_heads // ranks
        self.latent, self.rope = config.kv_lora_rank, config.qk_rope_head_dim
        self.nope, self.value = config.qk_nope_head_dim, config.v_head_dim
        hidden, bias, q_width = config.hidden_size, config.attention_bias, self.heads * (self.nope + self.rope)
        self.q_rank = config.q_lora_rank
        if self.q_rank is None:
            self.q_proj = nn.Linear(hidden, q_width, bias=False)
        else:
            self.q_a_proj = nn.Linear(hidden, self.q_rank, bias=bias)
            self.q_a_layernorm = RMSNorm(self.q_rank, 1e-6)
            self.q_b_proj = nn.Linear(self.q_rank, q_width, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(hidden, self.latent + self.rope, bias=bias)
        self.kv_a_layernorm = RMSNorm(self.latent, 1e-6)  # the published class default, whatever rms_norm_eps says
        self.kv_b_proj = PerHead(self.latent, self.heads * (self.nope + self.value), bias=False)
        self.o_proj = nn.Linear(self.heads * self.value, hidden, bias=bias)

    def forward(self, x_TD: Tensor, rope: RopeTable, context: AttentionContext) -> Tensor:
        if self.q_rank is None:
            q, kv_TJ = project(x_TD, self.q_proj, self.kv_a_proj_with_mqa)
        else:
            q, kv_TJ = project(x_TD, self.q_a_proj, self.kv_a_proj_with_mqa)
            q = self.q_b_proj(self.q_a_layernorm(q))
        q_nope_THK, q_rope_THR = q.unflatten(-1, (self.heads, -1)).split([self.nope, self.rope], -1)
        norm, place = self.kv_a_layernorm, context.place(self.layer)
        weights = LatentWeights(self.kv_b_proj(self.heads), self.nope)
        q_rope_THR, rows_TJ, absorbed_THZ = rows_and_absorb(
            q_nope_THK, weights.w_k_HKZ, q_rope_THR, kv_TJ, norm.weight, norm.eps, *rope, place
        )
        weights = replace(weights, absorbed_THZ=absorbed_THZ)
        out = context.attend_latent(self.layer, q_nope_THK, q_rope_THR, rows_TJ, weights, self.scale)
        return project_part(out.flatten(1), self.o_proj, self._team)
