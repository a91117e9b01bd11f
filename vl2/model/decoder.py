"""The language model: embedding, decoder layers, final norm, head."""

from torch import Tensor, nn

from vl2.config import LanguageConfig
from vl2.kernels.team import Team
from vl2.model.attention import MHA, MLA, AttentionContext
from vl2.model.layers import RMSNorm, SwiGLU
from vl2.model.moe import MoE, RouterStats
from vl2.model.rope import RopeTable, rope_table


class DecoderLayer(nn.Module):
    """x += attention(norm(x)); x += ffn(norm(x)), where ffn is dense or a mixture of experts.

    The second sum is left to the next norm, which adds and normalises in one pass over the stream. Of a team, every
    rank has the stream, and attention and ffn give its share of what is added.
    """

    def __init__(self, config: LanguageConfig, layer: int, team: Team | None = None) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self._team = team
        self.self_attn = (MLA if config.use_mla else MHA)(config, layer, team)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        sparse = config.is_moe_layer(layer)
        width = config.intermediate_size // (team.count if team else 1)
        self.mlp = MoE(config, layer, team) if sparse else SwiGLU(config.hidden_size, width, team)

    def forward(
        self, x_TD: Tensor, delta_TD: Tensor | None, rope: RopeTable, context: AttentionContext
    ) -> tuple[Tensor, Tensor, RouterStats | None]:
        """The stream, what is still to be added to it, and what the router did."""
        team = self._team
        x_TD, normed_TD = self.input_layernorm.after_adding(x_TD, delta_TD, team)
        attended_TD = self.self_attn(normed_TD, rope, context)
        x_TD, normed_TD = self.post_attention_layernorm.after_adding(x_TD, attended_TD, team)
        if isinstance(self.mlp, MoE):
            return x_TD, *self.mlp(normed_TD)
        return x_TD, self.mlp(normed_TD), None


class Decoder(nn.Module):
    """DeepSeekMoE language model over packed tokens. `team`: who holds it together, each rank its part (`parts.py`)."""

    def __init__(self, config: LanguageConfig, team: Team | None = None) -> None:
        super().__init__()
        self.config, self.team = config, team
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, i, team) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size // (team.count if team else 1), bias=False)

    def forward(
        self, x_TD: Tensor, positions_T: Tensor, context: AttentionContext, rope: RopeTable | None = None
    ) -> tuple[Tensor, list[RouterStats]]:
        """Embeddings (T, D) and their positions (T,) to normed hidden states (T, D) and what the routers did.

        Args:
            rope: the table of these positions, if the caller has it.
        """
        assert x_TD.shape[0] == positions_T.shape[0]
        if rope is None:
            rope = rope_table(self.config, positions_T)
        stats: list[RouterStats] = []
        delta_TD: Tensor | None = None
        for layer in self.layers:
            x_TD, delta_TD, layer_stats = layer(x_TD, delta_TD, rope, context)
            if layer_stats is not None:
                stats.append(layer_stats)
        return self.norm.after_adding(x_TD, delta_TD, self.team)[1], stats
