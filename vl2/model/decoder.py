"""The language model: embedding, decoder layers, final norm, head."""

from torch import Tensor, nn

from vl2.config import LanguageConfig
from vl2.model.attention import MHA, MLA, AttentionContext
from vl2.model.layers import RMSNorm, SwiGLU
from vl2.model.moe import MoE, RouterStats
from vl2.model.rope import RopeTable, rope_table


class DecoderLayer(nn.Module):
    """x += attention(norm(x)); x += ffn(norm(x)), where ffn is dense or a mixture of experts."""

    def __init__(self, config: LanguageConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = MLA(config, layer) if config.use_mla else MHA(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        sparse = config.is_moe_layer(layer)
        self.mlp = MoE(config, layer) if sparse else SwiGLU(config.hidden_size, config.intermediate_size)

    def forward(self, x_TD: Tensor, rope: RopeTable, context: AttentionContext) -> tuple[Tensor, RouterStats | None]:
        x_TD = x_TD + self.self_attn(self.input_layernorm(x_TD), rope, context)
        normed_TD = self.post_attention_layernorm(x_TD)
        if isinstance(self.mlp, MoE):
            y_TD, stats = self.mlp(normed_TD)
            return x_TD + y_TD, stats
        return x_TD + self.mlp(normed_TD), None


class Decoder(nn.Module):
    """DeepSeekMoE language model over packed tokens."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, x_TD: Tensor, positions_T: Tensor, context: AttentionContext) -> tuple[Tensor, list[RouterStats]]:
        """Embeddings (T, D) and their positions (T,) to normed hidden states (T, D) and what the routers did."""
        assert x_TD.shape[0] == positions_T.shape[0]
        rope = rope_table(self.config, positions_T)
        stats: list[RouterStats] = []
        for layer in self.layers:
            x_TD, layer_stats = layer(x_TD, rope, context)
            if layer_stats is not None:
                stats.append(layer_stats)
        return self.norm(x_TD), stats
