"""What a run exports, read by others: files by safetensors alone, layers by transformers, the whole compared by logits.

tile --SiglipVisionModel--> patches --unfold, two products--> tile tokens --in order--> DeepseekV3ForCausalLM
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from tiny_synth import TINY_SYNTH
from torch import Tensor

import vl2
from vl2.model.cache import PackedSequences
from vl2.processing.messages import Image as ImagePart
from vl2.processing.messages import Message, Text
from vl2.train.card import model_card
from vl2.train.config import read_recipe
from vl2.train.loop import Outcome, train

transformers = pytest.importorskip("transformers", minversion="5.17")

SHORT = ("stages.0.steps=30", "log_every=30", "checkpoint.every_sec=0", "stages.0.learning_rate=0.01")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return train("debug", tmp_path_factory.mktemp("run"), overrides=SHORT, synth=TINY_SYNTH)


def stored(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """config.json and every tensor that the index lists, in float32: the whole of an independent reader."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    tensors = {}
    for name, file in index.items():
        with safe_open(folder / file, framework="pt") as shard:
            tensors[name] = shard.get_tensor(name).float()
    return json.loads((folder / "config.json").read_text()), tensors


def group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def language(config: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """transformers' DeepSeek-V3 with the exported weights under its own names."""
    text = config["language_config"]
    names = transformers.DeepseekV3Config().to_dict().keys() & text.keys() - {"model_type", "dtype", "rope_scaling"}
    rope = {"rope_type": "default", "rope_theta": text["rope_theta"]}
    theirs = transformers.DeepseekV3Config(
        **{name: text[name] for name in names}, rope_interleave=True, rope_parameters=rope
    )
    theirs._attn_implementation = "eager"
    model = transformers.DeepseekV3ForCausalLM(theirs).float().eval()
    model.load_state_dict(stacked(tensors, text["n_routed_experts"]), strict=True)
    return model


def stacked(tensors: dict[str, Tensor], experts: int) -> dict[str, Tensor]:
    """transformers keeps the experts of a layer in two tensors."""
    out = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for layer in {name.split(".experts.")[0] for name in tensors if ".experts." in name}:
        part = {
            k: [tensors[f"{layer}.experts.{e}.{k}_proj.weight"] for e in range(experts)] for k in ("gate", "up", "down")
        }
        both = [torch.cat(pair) for pair in zip(part["gate"], part["up"], strict=True)]
        out[f"{layer}.experts.gate_up_proj"] = torch.stack(both)
        out[f"{layer}.experts.down_proj"] = torch.stack(part["down"])
    return out


def tower(config: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """transformers' SigLIP with the exported weights; its pooling head keeps random ones, since nothing reads it."""
    vision = config["vision_config"]
    theirs = transformers.SiglipVisionConfig(
        image_size=vision["image_size"], patch_size=vision["patch_size"], hidden_size=vision["width"],
        intermediate_size=tensors["blocks.0.mlp.fc1.weight"].shape[0], num_hidden_layers=vision["layers"],
        num_attention_heads=vision["heads"], hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6,
    )  # fmt: skip
    theirs._attn_implementation = "eager"
    model = transformers.SiglipVisionModel(theirs).float().eval()
    prefix = next(iter(model.state_dict())).partition("embeddings.")[0]
    named = {f"{prefix}embeddings.position_embedding.weight": tensors["pos_embed"][0]}
    pairs = {"patch_embed.proj": "embeddings.patch_embedding", "norm": "post_layernorm"}
    for layer in range(vision["layers"]):
        ours, out = f"blocks.{layer}.", f"encoder.layers.{layer}."
        pairs |= {f"{ours}attn.proj": f"{out}self_attn.out_proj"}
        pairs |= {f"{ours}norm{n}": f"{out}layer_norm{n}" for n in (1, 2)}
        pairs |= {f"{ours}mlp.fc{n}": f"{out}mlp.fc{n}" for n in (1, 2)}
        for end in ("weight", "bias"):
            thirds = tensors[f"{ours}attn.qkv.{end}"].chunk(3)
            named |= {f"{prefix}{out}self_attn.{n}_proj.{end}": t for n, t in zip("qkv", thirds, strict=True)}
    named |= {f"{prefix}{b}.{end}": tensors[f"{a}.{end}"] for a, b in pairs.items() for end in ("weight", "bias")}
    left = model.load_state_dict(named, strict=False)
    assert not left.unexpected_keys
    assert all("head." in name for name in left.missing_keys)
    return model


def image_tokens(tensors: dict[str, Tensor], patches_PW: Tensor) -> Tensor:
    """The tokens of an image of one tile, shown twice: rows with newlines, a separator, rows with newlines."""
    side = round(len(patches_PW) ** 0.5)
    grid = F.pad(patches_PW.T.unflatten(1, (side, side)), (0, side % 2, 0, side % 2))
    cells = F.unfold(grid[None], 2, stride=2)[0].T  # channel by channel, as the projector wants them
    projector = group(tensors, "projector.layers.")
    hidden = F.gelu(cells @ projector["0.weight"].T + projector["0.bias"])
    tokens = hidden @ projector["2.weight"].T + projector["2.bias"]
    rows = tokens.unflatten(0, (side - side // 2, -1))
    newline = tensors["image_newline"].expand(len(rows), 1, -1)
    view = torch.cat([rows, newline], 1).flatten(0, 1)
    return torch.cat([view, tensors["view_seperator"][None], view])


def test_others_compute_the_same_logits(outcome: Outcome) -> None:
    config, tensors = stored(outcome.weights)
    model = vl2.load(outcome.weights, device="cpu", dtype="float32")
    pixels = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    message = Message("user", (ImagePart(Image.fromarray(pixels)), Text("\nWhich colour?")))
    prompt = model.renderer.render([message], for_generation=True)
    assert prompt.images[0].grid.num_tiles == 2  # both views show the same tile
    with torch.no_grad():
        tile = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
        patches = tower(config, group(tensors, "vision."))(pixel_values=tile).last_hidden_state[0]
        ids = torch.tensor(prompt.input_ids)
        embeds = tensors["language.model.embed_tokens.weight"][ids]
        ((start, length),) = prompt.spans
        embeds[start : start + length] = image_tokens(tensors, patches)
        theirs = language(config, group(tensors, "language."))(inputs_embeds=embeds[None], use_cache=False).logits[0]
        image_ID = model.network.embed_images(
            [torch.from_numpy(prompt.images[0].unique_tiles_NCYX)], [prompt.images[0].grid]
        )
        x_TD = model.network.embed(ids, torch.arange(start, start + length), image_ID[0])
        packed = PackedSequences.of_lengths([len(ids)], "cpu")
        ours = model.network.logits(model.network(x_TD, torch.arange(len(ids)), packed)[0])
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def test_a_card_lies_beside_the_weights(outcome: Outcome) -> None:
    card = (outcome.weights / "README.md").read_text()
    front = card.split("---\n")[1]
    assert "library_name: vl2\n" in front
    assert "license: unknown\n" in front
    assert "from random weights, 30 of 30 steps" in card
    assert re.search(r"In all [\d,]+ tokens, [\d,]+ prompts, [\d,]+ tiles, ", card)
    assert "| overfit | 30 | 0.01 | cosine | nothing | 768 | answers | line 1 |" in card


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("tiny", ("license_name: deepseek\n", "base_model: deepseek-ai/deepseek-vl2-tiny\n", "DeepSeek model licence")),
        ("/data/deepseek-vl2-small", ("license_name: deepseek\n", "from the weights of deepseek-vl2-small,")),
        ("nano", ("license: mit\n", "Nano, which is under the MIT licence")),
        (
            "/home/me/mine",
            ("license: unknown\n", "from the weights of mine,", "the licence of those that they began as"),
        ),
    ],
)
def test_licences_follow_the_weights(weights: str, expected: tuple[str, ...]) -> None:
    card = model_card(
        read_recipe("lora", (f"model.weights={weights}", "records.mine=/secret/train.jsonl")), 7, {"tokens": 5}
    )
    for text in (*expected, "LoRA of rank 16 (alpha 32) on attention", "- `mine`: train.jsonl\n", "7 of 1,000 steps"):
        assert text in card, text
    assert "/secret" not in card
    assert "/home" not in card
