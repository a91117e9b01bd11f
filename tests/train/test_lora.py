"""LoRA end to end: a run on a tiny model, what it leaves, and PEFT itself reading that."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_synth import TINY_SYNTH
from torch import Tensor

import vl2
from vl2.config import ConfigError
from vl2.model.cache import PackedSequences
from vl2.model.lora import ADAPTER_WEIGHTS, TARGETS, AdapterError, attach, fold, merge_checkpoint, read_adapter
from vl2.model.vl2 import VL2
from vl2.model.weights import load
from vl2.train.assembly import assemble
from vl2.train.config import read_recipe
from vl2.train.loop import Outcome, train
from vl2.train.metrics import read_metrics
from vl2.train.optim import build_optimizer

peft = pytest.importorskip("peft", minversion="0.21")

SHORT = ("stages.0.steps=4", "stages.0.warmup_steps=1", "log_every=1", "checkpoint.every_sec=0")
LORA = (
    "lora={rank=2, alpha=4, dropout=0.1, targets=['attention', 'dense', 'experts', 'shared_experts']}",
    "stages.0.bias_update_step=0.0", "stages.0.learning_rate=0.05", "stages.0.freeze=['projector']",
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in official layout; one step, so that it has weights of its own."""
    out = tmp_path_factory.mktemp("base")
    return train("debug", out, overrides=(*SHORT, "stages.0.steps=1"), synth=TINY_SYNTH).weights


@pytest.fixture(scope="module")
def recipe(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "lora.toml"
    stages = (Path(vl2.__file__).parent / "recipes" / "debug.toml").read_text().partition("[loader]")
    path.write_text(
        f'device = "cpu"\nprecision = "float32"\ncpu_threads = 1\n[model]\nweights = "{base}"\n[loader]{stages[2]}'
    )
    return path


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return train(recipe, tmp_path_factory.mktemp("lora"), overrides=(*SHORT, *LORA), synth=TINY_SYNTH)


def logits(model: VL2, tokens: int = 40) -> Tensor:
    with torch.no_grad():
        positions, nothing = (
            torch.arange(tokens, device=model.device),
            torch.zeros(0, dtype=torch.long).to(model.device),
        )
        x_TD = model.embed(positions % 272, nothing, torch.zeros(0, 64).to(model.device))
        packed = PackedSequences.of_lengths([tokens], model.device)
        return model.logits(model(x_TD, positions, packed)[0]).cpu()


def adapted(base: Path, outcome: Outcome) -> VL2:
    model = load(base)
    read_adapter(model, outcome.checkpoint.parent / "adapter")
    return model


def test_only_the_adapter_learns(base: Path, recipe: Path, finished: Outcome) -> None:
    assembly = assemble(read_recipe(recipe, (*SHORT, *LORA)), TINY_SYNTH, finished.checkpoint)
    before, after = load(base).state_dict(), assembly.model.state_dict()
    for name, tensor in before.items():
        wrapped = [n for n in after if n.replace(".base_layer", "") == name]
        assert torch.equal(after[wrapped[0]], tensor), name
    factors = {name: tensor for name, tensor in after.items() if ".lora_B." in name}
    assert len(factors) > 10
    assert all(tensor.abs().max() > 0 for tensor in factors.values())  # all of them learned: none is out of reach
    optimizer = build_optimizer(assembly.model, None, assembly.config.optimizer)
    learning = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert learning == sum(tensor.numel() for name, tensor in after.items() if ".lora_" in name)
    assert learning < 0.3 * sum(tensor.numel() for tensor in before.values())


def test_a_checkpoint_holds_the_adapter_and_no_weights(finished: Outcome) -> None:
    names = {path.name for path in finished.checkpoint.iterdir()}
    assert {"adapter_config.json", ADAPTER_WEIGHTS, "state.json"} <= names
    assert not any(name.startswith("model") for name in names)


def test_resume_is_exact_with_dropout(recipe: Path, finished: Outcome, tmp_path: Path) -> None:
    train(recipe, tmp_path, overrides=(*SHORT, *LORA), synth=TINY_SYNTH, stop_at=2)
    again = train(recipe, tmp_path, overrides=(*SHORT, *LORA), synth=TINY_SYNTH, resume=tmp_path)
    curves = [[line["loss"] for line in read_metrics(run)] for run in (tmp_path, finished.checkpoint.parent)]
    assert curves[0] == curves[1]
    stored = [load_file(run / ADAPTER_WEIGHTS) for run in (again.checkpoint, finished.checkpoint)]
    assert all(torch.equal(stored[0][name], stored[1][name]) for name in stored[1])


def test_layers_that_repeat_give_the_same_curve(recipe: Path, finished: Outcome, tmp_path: Path) -> None:
    curves = []
    for choice in ("none", "layers"):
        overrides = (*SHORT, *LORA, "lora.dropout=0.0", f"recompute={choice}")
        train(recipe, tmp_path / choice, overrides=overrides, synth=TINY_SYNTH)
        curves.append([line["loss"] for line in read_metrics(tmp_path / choice)])
    assert curves[0] == curves[1]


def test_folding_changes_no_logits(base: Path, finished: Outcome) -> None:
    model = adapted(base, finished)
    expected = logits(model)
    assert (expected - logits(load(base))).abs().max() > 0.05  # it did learn something
    fold(model)
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-5)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in load(base).named_parameters()}


def test_peft_loads_the_adapter(base: Path, finished: Outcome) -> None:
    theirs = peft.PeftModel.from_pretrained(load(base), str(finished.checkpoint.parent / "adapter"))
    torch.testing.assert_close(logits(theirs.base_model.model), logits(adapted(base, finished)), atol=1e-5, rtol=1e-5)


def test_gradients_are_pefts(base: Path, finished: Outcome) -> None:
    """PEFT adds the product to the whole stack of experts; tokens that pass beside it must teach the same."""
    theirs = peft.PeftModel.from_pretrained(load(base), str(finished.checkpoint.parent / "adapter"))
    grads = []
    for model in (cast(VL2, theirs.base_model.model), adapted(base, finished)):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(".lora_" in name)
        positions, nothing = torch.arange(40), torch.zeros(0, dtype=torch.long)
        x_TD = model.embed(positions % 272, nothing, torch.zeros(0, 64))
        model(x_TD, positions, PackedSequences.of_lengths([40], x_TD.device))[0].square().sum().backward()
        grads.append({name: p.grad for name, p in model.named_parameters() if ".lora_" in name})
    assert grads[0].keys() == grads[1].keys()
    assert any(".experts." in name for name in grads[0])
    for name, wanted in grads[0].items():
        assert wanted is not None
        assert wanted.abs().max() > 0
        torch.testing.assert_close(grads[1][name], wanted, atol=1e-4, rtol=1e-4, msg=name)


def test_merging_loading_and_exporting_agree(base: Path, finished: Outcome, tmp_path: Path) -> None:
    adapter = finished.checkpoint.parent / "adapter"
    merge_checkpoint(base, adapter, tmp_path / "merged")
    merged, exported = (load(path).state_dict() for path in (tmp_path / "merged", finished.weights))
    assert all(torch.equal(merged[name], exported[name]) for name in merged)
    named, found = (vl2.load(*arguments) for arguments in ((base,), (adapter,)))
    assert torch.equal(logits(found.network), logits(vl2.load(base, adapter=adapter).network))
    assert not torch.equal(logits(found.network), logits(named.network))
    assert (tmp_path / "merged" / "tokenizer.json").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="kernels without gradients run on CUDA")
@pytest.mark.parametrize("tokens", [3, 40])  # few take other kernels
def test_unmerged_models_answer_on_cuda(base: Path, finished: Outcome, tokens: int) -> None:
    model, expected = adapted(base, finished).cuda(), logits(adapted(base, finished), tokens)
    torch.testing.assert_close(logits(model, tokens), expected, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_every_target_changes_the_logits(preset: str) -> None:
    """Heads and latents, with softmax routers; an adapter that no forward pass reads would change nothing."""
    debug = read_recipe("debug", (f"model.preset={preset}", *SIZES[preset])).model.config
    assert debug is not None
    for target in set(TARGETS) - {"projector"}:
        model = VL2(debug)
        model.initialize(1)
        attach(model, rank=2, alpha=4, dropout=0.0, targets=(target,), base="", seed=1)
        plain = logits(model)
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                before = parameter.detach().clone()
                with torch.no_grad():
                    parameter.normal_()
                    assert not torch.equal(logits(model), plain), name
                    parameter.copy_(before)


SIZES = {
    "tiny": (
        "model.config.language_config.qk_nope_head_dim=0", "model.config.language_config.qk_rope_head_dim=0",
        "model.config.language_config.v_head_dim=0", "model.config.language_config.n_routed_experts=4",
        "model.config.language_config.num_experts_per_tok=2",
    ),
    "small": (
        "model.config.language_config.n_routed_experts=4", "model.config.language_config.num_experts_per_tok=2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lora={rank=0}", "lora.rank = 0: must be positive"),
        ("lora={targets=['vision']}", "lora.targets = 'vision': must be among attention, dense"),
        ("lora={targets=[]}", "lora.targets = .*: needs one or more"),
        ("lora={}", r"stages.overfit.bias_update_step = 0.001: must be 0 with \[lora\]"),
        ("stages.0.freeze=['language', 'vision']", "leaves nothing of lora.targets to train"),
        ("optimizer.name=muon", "must be adamw with"),
        ("parallel.shard=2", "parallel.shard = 2: must be 1 with"),
        ("lora={dropout=0.1}", "recompute = 'layers': must be none with lora.dropout"),
    ],
)
def test_mistakes_are_named(recipe: Path, override: str, message: str) -> None:
    fine = ("lora={}", "stages.0.bias_update_step=0.0", "recompute=layers")
    overrides = (override,) if override == "lora={}" else (*fine, override)
    with pytest.raises(ConfigError, match=message):
        assemble(read_recipe(recipe, overrides), TINY_SYNTH, None)


def test_a_preset_has_no_weights_to_adapt() -> None:
    with pytest.raises(ConfigError, match=r"lora = .*needs model.weights"):
        read_recipe("debug", ("lora={}",))


def damaged(change: Callable[[Path], None]) -> Callable[[Path, Path], Path]:
    def make(adapter: Path, out: Path) -> Path:
        out.mkdir()
        for file in adapter.iterdir():
            (out / file.name).write_bytes(file.read_bytes())
        change(out)
        return out

    return make


def rewrite(path: Path, **changes: object) -> None:
    file = path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def drop(path: Path) -> None:
    tensors = load_file(path / ADAPTER_WEIGHTS)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path / ADAPTER_WEIGHTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / ADAPTER_WEIGHTS).unlink(), "missing or damaged"),
        (lambda path: (path / "adapter_config.json").write_text("{"), "not the configuration of an adapter"),
        (lambda path: rewrite(path, use_dora=True), "use_dora = True: only plain LoRA is read"),
        (lambda path: rewrite(path, peft_type="IA3"), "peft_type = 'IA3': only plain LoRA"),
        (lambda path: rewrite(path, r=3), "tensors do not fit this model"),
        (drop, "1 tensors do not fit this model, the first is base_model.model.language"),
    ],
)
def test_broken_adapters_are_refused(
    base: Path, finished: Outcome, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    broken = damaged(change)(finished.checkpoint.parent / "adapter", tmp_path / "broken")
    with pytest.raises(AdapterError, match=message):
        read_adapter(load(base), broken)
