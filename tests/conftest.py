import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from vl2.config import LanguageConfig, ProjectorConfig, VisionConfig, VL2Config
from vl2.model.vl2 import VL2
from vl2.model.weights import save
from vl2.processing.tokenizer import Tokenizer

torch.set_num_threads(1)  # models of tests' size are too small to share

# Tiles of 38 pixels: patches of 7 leave 3 pixels unseen, 5 x 5 patches are padded to 3 x 3 tile tokens.
_EDGE = 38
_CANVASES = tuple((_EDGE * m, _EDGE * n) for m, n in [(1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (2, 2)])
_LATENT = {"kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6}
_KINDS: dict[str, dict[str, Any]] = {
    "tiny": {"use_mla": False, "kv_lora_rank": None},
    "small": _LATENT,
    "base": _LATENT
    | {"topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True, "routed_scaling_factor": 2.0},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    default = Path(__file__).parent / "goldens"
    parser.addoption("--goldens", type=Path, default=default, help="directory of golden cases for tests/parity")


def scripted_ids(tokenizer: Tokenizer) -> list[int]:
    special = tokenizer.special
    tags = {"<|ref|>": special.ref, "<|/ref|>": special.ref_end, "<|det|>": special.det, "<|/det|>": special.det_end}
    vocabulary = tokenizer._backend.get_vocab()
    return [tags[word] if word in tags else vocabulary[word.replace(" ", "Ġ")] for word in SCRIPT]


def small_config(kind: str, **language: Any) -> VL2Config:
    sizes: dict[str, Any] = {
        "vocab_size": 352,
        "hidden_size": 32,
        "intermediate_size": 40,
        "moe_intermediate_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "q_lora_rank": None,
        "n_routed_experts": 6,
        "n_shared_experts": 2,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "max_position_embeddings": 256,
        "initializer_range": 0.2,
    }
    text = LanguageConfig(**{**sizes, **_KINDS[kind], **language})
    return VL2Config(
        vision_config=VisionConfig(image_size=_EDGE, patch_size=7, width=24, layers=2, heads=3, mlp_ratio=1.5),
        projector_config=ProjectorConfig(input_dim=24, n_embed=text.hidden_size),
        language_config=text,
        candidate_resolutions=_CANVASES,
    )


@pytest.fixture(scope="session")
def make_config() -> Callable[..., VL2Config]:
    """make_config(kind, **language changes): a member of the family ("tiny", "small" or "base") of tests' size."""
    return small_config


@pytest.fixture(scope="session")
def make_model() -> Callable[..., VL2]:
    """make_model(kind, seed=0, dtype=float32, **language changes): the same with random weights, norms and biases."""

    def make(kind: str, seed: int = 0, dtype: torch.dtype = torch.float32, **language: Any) -> VL2:
        model = VL2(small_config(kind, **language))
        model.initialize(seed)
        generator = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm" in name or name.endswith("bias"):
                    parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return model.to(dtype).requires_grad_(False).eval()

    return make


# What the scripted model answers to everything, one token a piece. No token may come twice.
SCRIPT = (
    "The ", "<|ref|>", "black cat", "<|/ref|>", "<|det|>", "[[100, 200, 500, 700]]", "<|/det|>", " sits", " down", ".",
)  # fmt: skip
SCRIPTED_WORDS = [word for word in SCRIPT if not word.startswith("<|")]


@pytest.fixture(scope="session")
def byte_tokenizer() -> Tokenizer:
    """A byte-level BPE of about 300 ids, the family's special tokens last; fits `make_model`'s vocabulary."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(["what is the total of this receipt? the total is 42.00"] * 4, trainer)
    definition = json.loads(backend.to_str())
    vocabulary = definition["model"]["vocab"]
    for word in SCRIPTED_WORDS:  # never made of text, but answers may hold them
        vocabulary.setdefault(word.replace(" ", "Ġ"), len(vocabulary))
    return Tokenizer(Backend.from_str(json.dumps(definition)))


@pytest.fixture(scope="session")
def scripted_checkpoint(byte_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that answers SCRIPT to everything.

    Attention and feed-forward layers add nothing, so the hidden state is the newest token's embedding, and the head
    knows which token follows which. The first follows the colon that ends every prompt.
    """
    model = VL2(small_config("base"))
    model.initialize(0)
    names = ("o_proj", "down_proj", "experts.down")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in names):
                parameter.zero_()
        embed, head = model.language.embed_tokens.weight, model.language.lm_head.weight
        head.zero_()
        chain = [*byte_tokenizer.encode(":"), *scripted_ids(byte_tokenizer), byte_tokenizer.special.eos]
        for before, after in pairwise(chain):
            head[after] = embed[before] / embed[before].norm()
    folder = tmp_path_factory.mktemp("scripted") / "model"
    save(model, folder, torch.float32)
    byte_tokenizer.save(folder)
    return folder
