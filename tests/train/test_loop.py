import json
import math
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_synth import TINY_SYNTH

import vl2.train.step as step
from vl2.config import ConfigError
from vl2.data.loader import NICENESS
from vl2.model.vl2 import VL2
from vl2.model.weights import load, quantize_checkpoint
from vl2.processing.processor import read_processor, read_tokenizer
from vl2.train.assembly import assemble
from vl2.train.checkpoint import (
    CheckpointError,
    CheckpointFormat,
    TrainState,
    checkpoints,
    find_checkpoint,
    read_state,
    save_checkpoint,
)
from vl2.train.config import read_recipe, shipped_recipes
from vl2.train.loop import Outcome, train
from vl2.train.loss import Losses
from vl2.train.metrics import NonFiniteError, read_metrics
from vl2.train.optim import build_optimizer

SHORT = ("stages.0.steps=6", "stages.0.warmup_steps=2", "log_every=1", "checkpoint.every_sec=0")


def run(out: Path, *overrides: str, resume: Path | None = None, stop_at: int | None = None) -> Outcome:
    return train("debug", out, overrides=(*SHORT, *overrides), synth=TINY_SYNTH, resume=resume, stop_at=stop_at)


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(out)]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return {k: v for file in checkpoint.glob("model-*.safetensors") for k, v in load_file(file).items()}


def same_weights(a: Path, b: Path) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


PATCHES = "stages.0.patch_loss_weight=[[0.0, 1.0], [0.5, 1.0], [0.5, 0.2]]"
MIXED = ("stages.0.mixture={line=1, scene=2}", "stages.0.questions_per_image=3", PATCHES)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(tmp_path_factory.mktemp("straight"), *MIXED, "checkpoint.every_steps=2", "checkpoint.keep=2")


def test_resume_is_exact(straight: Outcome, tmp_path: Path) -> None:
    first = run(tmp_path, *MIXED, stop_at=3)
    assert (first.step, first.finished) == (3, False)
    second = run(tmp_path, *MIXED, resume=tmp_path)
    assert (second.step, second.finished) == (6, True)
    assert losses(tmp_path) == losses(straight.checkpoint.parent)
    assert same_weights(second.checkpoint, straight.checkpoint)


def test_a_resume_drops_metrics_of_steps_done_again(straight: Outcome, tmp_path: Path) -> None:
    run(tmp_path, *MIXED, "checkpoint.every_steps=2", stop_at=5)
    run(tmp_path, *MIXED, resume=tmp_path / "step-000004")
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert losses(tmp_path) == losses(straight.checkpoint.parent)


def test_workers_and_accumulation_do_not_change_the_data(straight: Outcome, tmp_path: Path) -> None:
    run(tmp_path, *MIXED, "loader.workers=2", stop_at=2)
    assert losses(tmp_path) == losses(straight.checkpoint.parent)[:2]


def drawn_by_a_nicer_process(task: str, seed: int, index: int, split: str) -> Any:
    assert os.nice(0) == min(NICE + NICENESS, 19)
    return TINY_SYNTH.generate(task, seed, index, split)


NICE = os.nice(0)


def test_workers_leave_cores_to_the_loop(tmp_path: Path) -> None:
    synth = replace(TINY_SYNTH, generate=drawn_by_a_nicer_process)
    train("debug", tmp_path, overrides=(*SHORT, "loader.workers=1"), synth=synth, stop_at=1)
    assert os.nice(0) == NICE
    (line,) = read_metrics(tmp_path)
    assert line["dropped"] == 0


def test_old_checkpoints_are_removed(straight: Outcome) -> None:
    assert [path.name for path in checkpoints(straight.checkpoint.parent)] == ["step-000004", "step-000006"]


def test_exported_weights_load(straight: Outcome) -> None:
    model = load(straight.weights)
    stored = weights(straight.checkpoint)
    assert torch.equal(model.image_newline, stored["image_newline"].bfloat16().float())
    assert read_tokenizer(straight.weights, model.config).encode("ab")
    read_processor(straight.weights).require_match(model.config)
    assert not any("patch_head" in name for file in straight.weights.glob("*.safetensors") for name in load_file(file))


def test_metrics_name_every_task_and_expert(straight: Outcome) -> None:
    last = read_metrics(straight.checkpoint.parent)[-1]
    assert set(last["task_loss"]) <= {"line", "scene"}
    assert last["task_loss"]
    assert last["patch_loss"] > 0
    assert last["total"]["tokens"] > 0
    (router,) = last["expert_load"]
    assert len(router) == 16
    assert sum(router) == pytest.approx(16, abs=0.05)
    assert last["dead_experts"] == router.count(0)


def test_router_bias_moves_by_the_step(straight: Outcome) -> None:
    (bias,) = [v for k, v in weights(straight.checkpoint).items() if k.endswith("e_score_correction_bias")]
    steps = bias / 0.001
    assert bias.abs().max() > 0
    assert torch.allclose(steps, steps.round(), atol=1e-3)


@pytest.mark.parametrize("moments", ["none", "int8", "exact"])
def test_compact_checkpoint(moments: str, tmp_path: Path) -> None:
    settings = (*MIXED, "checkpoint.compact=true", f"checkpoint.moments={moments}", "checkpoint.max_file_mib=1")
    run(tmp_path / "a", *settings, stop_at=3)
    compact = tmp_path / "a" / "compact-000003"
    assert all(file.stat().st_size <= 1.1 * 2**20 for file in compact.iterdir())
    assert all(tensor.dtype == torch.bfloat16 for tensor in weights(compact).values())
    assert bool(list(compact.glob("moments-*"))) == (moments != "none")
    assert read_state(compact).state.rewarm_from == (3 if moments == "none" else None)
    outcome = run(tmp_path / "b", *settings, "rewarm_steps=10", resume=compact)
    assert outcome.finished
    rates = {line["step"]: line["learning_rate"] for line in read_metrics(tmp_path / "a")}
    resumed = read_metrics(tmp_path / "b")
    assert [line["step"] for line in resumed] == [4, 5, 6]
    assert resumed[0]["loss"] < 1.1 * losses(tmp_path / "a")[0]
    expected = 0.1 if moments == "none" else 1.0
    assert resumed[0]["learning_rate"] == pytest.approx(expected * 5e-3 * 0.5 * (1 + math.cos(math.pi * 0.5)))
    assert rates


def test_time_limit_stops_with_a_checkpoint_and_the_same_learning_rate(straight: Outcome, tmp_path: Path) -> None:
    outcome = run(tmp_path, *MIXED, "time_limit_sec=0.001")
    assert (outcome.step, outcome.finished) == (0, False)
    assert find_checkpoint(tmp_path)[0].name == "step-000000"
    run(tmp_path, *MIXED, resume=tmp_path, stop_at=2)
    assert losses(tmp_path) == losses(straight.checkpoint.parent)[:2]


def test_frozen_groups_stay_and_the_next_stage_moves_them(tmp_path: Path) -> None:
    recipe = tmp_path / "two.toml"
    debug = shipped_recipes()["debug"].read_text(encoding="utf-8")
    second = debug[debug.index("[[stages]]") :].replace('"overfit"', '"second"').replace("steps = 240", "steps = 1")
    recipe.write_text(f"{debug}\n{second}", encoding="utf-8")
    overrides = (*SHORT, "stages.0.steps=1", "stages.0.freeze=['language']", "checkpoint.every_steps=1")
    outcome = train(recipe, tmp_path / "run", overrides=overrides, synth=TINY_SYNTH)
    assert outcome.finished
    one, two = weights(tmp_path / "run/step-000001"), weights(outcome.checkpoint)
    config = read_recipe(recipe)
    assert config.model.config is not None
    fresh = VL2(config.model.config)
    fresh.initialize(config.seed)
    head = "language.lm_head.weight"
    assert torch.equal(one[head], fresh.language.lm_head.weight)
    assert not torch.equal(one["vision.norm.weight"], fresh.vision.norm.weight)
    assert not torch.equal(two[head], one[head])


def test_a_step_takes_all_its_micro_batches(tmp_path: Path) -> None:
    outcome = run(tmp_path, "stages.0.accumulation=2", "stages.0.max_prompts=2", stop_at=1)
    (line,) = read_metrics(tmp_path)
    assert outcome.step == 1
    assert line["total"]["prompts"] == 4


def test_non_finite_losses_are_skipped_then_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = step.batch_losses

    def broken(*args: Any, **settings: Any) -> Losses:
        return replace(real(*args, **settings), text=torch.tensor(float("nan"), requires_grad=True))

    run(tmp_path / "good", stop_at=1)
    monkeypatch.setattr(step, "batch_losses", broken)
    run(tmp_path / "bad", resume=tmp_path / "good", stop_at=3)
    assert same_weights(tmp_path / "good/step-000001", tmp_path / "bad/step-000003")
    assert [line["skipped"] for line in read_metrics(tmp_path / "bad")] == [1, 1]
    with pytest.raises(NonFiniteError, match="10 steps in a row"):
        run(tmp_path / "worse", "stages.0.steps=20")
    with pytest.raises(NonFiniteError, match="3 steps in a row"):
        run(tmp_path / "worst", "max_skipped=3")


def test_resume_from_nothing_names_the_directory(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        run(tmp_path / "out", resume=tmp_path)


def test_resume_of_another_model_is_refused(straight: Outcome, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resume with the same recipe"):
        run(tmp_path, "model.config.vision_config.layers=1", resume=straight.checkpoint)


def test_quantised_weights_are_refused(straight: Outcome, tmp_path: Path) -> None:
    """To resume from, even where somebody puts the state of the run beside them, and to begin with."""
    small = tmp_path / "small"
    quantize_checkpoint(straight.checkpoint, small, "int4")
    message = f"{small}: its weights are quantised (int4) and cannot be trained; start from the original weights"
    with pytest.raises(ConfigError, match=re.escape(message)):
        assemble(read_recipe("finetune", [f"model.weights={small}", 'device="cpu"']), None, None)
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        run(tmp_path / "out", resume=small)
    state = json.loads((straight.checkpoint / "state.json").read_text(encoding="utf-8"))
    (small / "state.json").write_text(json.dumps({**state, "files": {}}), encoding="utf-8")
    shutil.copy(straight.checkpoint / "extras.safetensors", small)
    with pytest.raises(ConfigError, match=re.escape(message)):
        run(tmp_path / "out", resume=small)


def test_damaged_state_is_refused(straight: Outcome, tmp_path: Path) -> None:
    broken = tmp_path / "step-000001"
    broken.mkdir()
    (broken / "state.json").write_text(json.dumps({"format": 99}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="format 99"):
        read_state(broken)


def test_debug_recipe_overfits(tmp_path: Path) -> None:
    train("debug", tmp_path, overrides=("stages.0.steps=100",), synth=TINY_SYNTH)
    assert losses(tmp_path)[-1] < 0.02
    assert losses(tmp_path)[0] > 1


def test_sigterm_ends_the_run_with_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = step.batch_losses

    def interrupted(*args: Any, **settings: Any) -> Losses:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **settings)

    monkeypatch.setattr(step, "batch_losses", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    outcome = run(tmp_path)
    assert (outcome.step, outcome.finished) == (1, False)
    assert outcome.checkpoint.name == "step-000001"
    assert signal.getsignal(signal.SIGTERM) is before


def test_bfloat16_keeps_float32_weights(straight: Outcome, tmp_path: Path) -> None:
    outcome = run(tmp_path, *MIXED, "precision=bfloat16", stop_at=2)
    assert losses(tmp_path) == pytest.approx(losses(straight.checkpoint.parent)[:2], rel=2e-2)
    assert losses(tmp_path) != losses(straight.checkpoint.parent)[:2]
    stored = weights(outcome.checkpoint)["language.lm_head.weight"]
    assert stored.dtype == torch.float32
    assert not torch.equal(stored, stored.bfloat16().float())


def test_compact_checkpoint_of_nano_travels_in_eight_files(tmp_path: Path) -> None:
    config = read_recipe("nano", ("model.tokenizer=bytes", "stages.*.mixture={line=1}", "device=cpu"))
    assembly = assemble(config, replace(TINY_SYNTH, num_labels=640), None)
    optimizer = build_optimizer(assembly.model, assembly.patch_head, config.optimizer)
    kind = CheckpointFormat(torch.bfloat16, "none", config.checkpoint.max_file_mib << 20)
    path = tmp_path / "compact-000000"
    save_checkpoint(path, kind, TrainState(), config, assembly.model, assembly.patch_head, optimizer)
    sizes = [file.stat().st_size for file in path.iterdir()]
    assert len(sizes) <= 8
    assert max(sizes) < 16 << 20
    assert sum(sizes) < 62 << 20
