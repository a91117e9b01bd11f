"""Scores while training, TensorBoard, and when a run will end."""

import json
from pathlib import Path

import pytest
from shards import png
from tiny_synth import TINY_SYNTH

from vl2.cli import main
from vl2.config import ConfigError
from vl2.early_evaluation import EarlyEvaluation
from vl2.train.config import TrainConfig, read_recipe
from vl2.train.display import summary
from vl2.train.evaluation import EvaluationSection
from vl2.train.loop import train
from vl2.train.metrics import read_metrics
from vl2.train.reports import Pace

SHORT = ("stages.0.steps=4", "stages.0.warmup_steps=1", "log_every=3", "checkpoint.every_sec=0")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    rows = []
    for task, answer, metric in (("hue", "red", "exact"), ("hue", "blue", "exact"), ("say", "red", "anls")):
        (tmp_path / f"{answer}.png").write_bytes(png(answer))
        row = {"id": f"{task}/{answer}", "images": [f"{answer}.png"], "question": "Which colour?", "answers": [answer]}
        rows.append({**row, "metric": metric})
    path = tmp_path / "held-out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked(records: Path, *more: str) -> tuple[str, ...]:
    return (*SHORT, "evaluation.every_steps=2", f"evaluation.records.mine={records}", "evaluation.max_tokens=4", *more)


def test_scores_stand_in_the_metrics_and_change_nothing_else(records: Path, tmp_path: Path) -> None:
    train("debug", tmp_path / "plain", overrides=SHORT, synth=TINY_SYNTH)
    overrides = asked(records, "evaluation.tasks=['line']", "evaluation.limit=1")
    train("debug", tmp_path / "run", overrides=overrides, synth=TINY_SYNTH, evaluator=EarlyEvaluation())
    lines = read_metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 3, 4]
    assert ["evaluation" in line for line in lines] == [True, False, True]
    scores = lines[-1]["evaluation"]
    assert {name: (row["metric"], row["n"]) for name, row in scores.items()} == {
        "hue": ("exact", 1), "say": ("anls", 1), "line": ("cer", 1),
    }  # fmt: skip
    assert lines[-1]["loss"] == read_metrics(tmp_path / "plain")[-1]["loss"]
    assert (tmp_path / "run" / "evaluation.png").stat().st_size > 0
    assert "hue exact" in summary(lines[-1])


def test_the_command_scores_and_writes_for_tensorboard(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    changes = [item for change in asked(records, "tensorboard=true") for item in ("--set", change)]
    out = tmp_path / "run"
    for resume in ([], ["--resume", str(out)]):
        limits = ["--stop-at", "3"] if not resume else []
        monkeypatch.setattr("sys.argv", ["vl2", "train", "debug", "--out", str(out), *changes, *limits, *resume])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    curves = accumulator.EventAccumulator(str(out / "tensorboard")).Reload()
    assert {"loss", "learning_rate", "task_loss/line", "evaluation/hue"} <= set(curves.Tags()["scalars"])
    logged = {line["step"]: line["loss"] for line in read_metrics(out)}
    assert {event.step: event.value for event in curves.Scalars("loss")} == pytest.approx(logged, rel=1e-6)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.records.mine=none.jsonl", "none.jsonl: cannot be read"),
        ("evaluation.tasks=['card-fields']", "evaluation.tasks: 'card-fields' is for training only; name 'card'"),
        ("evaluation.tasks=['lines']", "evaluation.tasks: 'lines' is not among line, paragraph"),
        ("evaluation.every_steps=0", "evaluation.every_steps = 0: must be positive"),
        ("evaluation.records={}", "give records, tasks or both"),
    ],
)
def test_mistakes_show_before_training(records: Path, tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train("debug", tmp_path / "run", overrides=(*asked(records), override), evaluator=EarlyEvaluation())
    assert not (tmp_path / "run").exists()


def test_somebody_must_score(records: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="evaluation: nothing here can score"):
        train("debug", tmp_path / "run", overrides=asked(records), synth=TINY_SYNTH)


def test_the_section_survives_a_round_trip(records: Path) -> None:
    config = read_recipe("debug", asked(records))
    assert config.evaluation == EvaluationSection(2, (("mine", str(records)),), max_tokens=4)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_the_pace_of_the_last_interval_tells_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 30.0, 100.0, 104.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    pace = Pace(0)
    assert pace.remaining_sec(5, 25) == 40.0  # 2 seconds a step, 20 to go
    assert pace.remaining_sec(5, 25) is None
    pace.skip()
    assert pace.remaining_sec(9, 10) == 1.0
