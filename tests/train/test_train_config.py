from pathlib import Path

import pytest

from vl2.config import NANO, ConfigError
from vl2.train.config import TrainConfig, read_recipe, shipped_recipes


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_loads_and_survives_a_round_trip(name: str) -> None:
    config = read_recipe(name)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_nano_recipe_trains_the_preset() -> None:
    assert read_recipe("nano").model.config == NANO


def test_tiny_finetune_follows_the_paper() -> None:
    stages = read_recipe("tiny-finetune").stages
    assert [stage.learning_rate for stage in stages] == [5.4e-4, 5.4e-4, 3.0e-5]
    assert [stage.schedule for stage in stages] == ["cosine", "step", "constant"]
    assert [stage.freeze for stage in stages] == [("language",), (), ()]
    assert [stage.mask_prompt for stage in stages] == [False, False, True]
    assert {stage.lr_multiplier.vision for stage in stages} == {0.1}
    assert {stage.aux_loss_alpha for stage in stages} == {0.001}


def test_overrides() -> None:
    overrides = (
        "stages.0.steps=3",
        "stages.*.warmup_steps=7",
        "checkpoint.compact=true",
        "records.mine=own.jsonl",
        "seed=9",
    )
    config = read_recipe("debug", overrides)
    assert (config.stages[0].steps, config.stages[0].warmup_steps, config.seed) == (3, 7, 9)
    assert config.checkpoint.compact
    ((name, path),) = config.records
    assert (name, Path(path).name, Path(path).is_absolute()) == ("mine", "own.jsonl", True)


def test_one_number_is_a_constant_patch_loss_weight() -> None:
    assert read_recipe("debug", ("stages.0.patch_loss_weight=0.5",)).stages[0].patch_loss_weight == ((0.0, 0.5),)


def test_steps_are_located_in_stages() -> None:
    config = read_recipe("tiny-finetune")
    assert [config.locate(step) for step in (0, 499, 500, 4500)] == [(0, 0), (0, 499), (1, 0), (2, 0)]
    with pytest.raises(ValueError, match="after the last of 5500"):
        config.locate(5500)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.0.stepz=3", r"debug.toml: stages\[0\].stepz = 3: unknown key"),
        ("stages.0.steps=many", r"stages\[0\].steps = 'many': expected int"),
        ("stages.0.steps=0", r"stages\[0\].steps = 0: must be positive"),
        ("stages.0.schedule=linear", "cosine, step or constant"),
        ("stages.0.freeze=['text']", "must be among vision, projector, language"),
        ("stages.0.freeze=['vision', 'projector', 'language']", "leaves nothing to train"),
        ("stages.0.freeze=['vision', 'projector', 'language', 'head']", "leaves nothing to train"),
        ("stages.0.freeze=['expert']", r"freeze = 'expert': must be among .*router, experts, shared_experts"),
        ("stages.0.lr_multiplier={tower=0.1}", r"lr_multiplier.tower = 0.1: unknown key; known keys: attention"),
        ("stages.0.lr_multiplier={experts=-1.0}", r"lr_multiplier.experts = -1.0: must not be negative"),
        ("stages.0.mixture={}", "at least one source"),
        ("stages.0.mixture={line=0}", "mixture.line = 0.0: must be positive"),
        ("stages.0.patch_loss_weight=[[0.5, 1.0], [0.1, 1.0]]", "must not decrease"),
        ("model.preset=huge", "must be one of nano, tiny, small, base"),
        ("model.weights=here", "give either preset or weights"),
        ("model.config.language_config.hidden=3", "language_config.hidden = 3: unknown key"),
        ("checkpoint.moments=int4", "none, int8 or exact"),
        ("stages.1.steps=3", "no entry of a list of 1"),
        ("seed", "must look like key=value"),
        ("precision=fp8", "must be one of auto, bfloat16, float32"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe("debug", (override,))


def test_unknown_and_unreadable_recipes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shipped: debug, nano, tiny-finetune"):
        read_recipe("nanno")
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_recipe(broken)
