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


# Table 2 of the paper: rates, batch sizes in sequences, 10^9 tokens of stages 2 and 3, balance loss, bias step.
PUBLISHED_STAGES = {
    "tiny": ((5.4e-4, 5.4e-4, 3.0e-5), (256, 2304, 64), (798.5, 19.5), 0.001, (0, 0, 0)),
    "small": ((4.2e-4, 4.2e-4, 1.4e-5), (256, 2304, 64), (808.9, 20.0), 0.001, (0, 0, 0)),
    "base": ((4.5e-4, 4.5e-4, 2e-5), (256, 3360, 64), (796.5, 19.5), 0.0001, (0, 0.001, 0)),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED_STAGES))
def test_recipes_of_the_family_follow_the_paper(name: str) -> None:
    rates, batches, tokens, alpha, bias = PUBLISHED_STAGES[name]
    config = read_recipe(name)
    stages = config.stages
    assert tuple(stage.learning_rate for stage in stages) == rates
    assert tuple(stage.accumulation for stage in stages) == batches
    assert {(stage.tokens_per_batch, stage.max_sequence_tokens) for stage in stages} == {(4096, 4096)}
    seen = [stage.steps * stage.accumulation * 4096 / 1e9 for stage in stages]
    assert seen[1:] == pytest.approx(tokens, rel=1e-3)
    assert stages[0].steps * 256 == pytest.approx(1.2e6, rel=1e-3)  # the paper's 2.0 billion tokens, unpacked
    assert [stage.max_prompts == 1 for stage in stages] == [True, False, False]  # packed in stages 2 and 3 only
    assert [stage.schedule for stage in stages] == ["cosine", "step", "constant"]
    assert [stage.freeze for stage in stages] == [("language",), (), ()]
    assert [stage.mask_prompt for stage in stages] == [False, False, True]
    assert {stage.lr_multiplier.vision for stage in stages} == {0.1}
    assert {stage.aux_loss_alpha for stage in stages} == {alpha}
    assert tuple(stage.bias_update_step for stage in stages) == bias
    assert dict(stages[1].mixture) == {"vision_language": 0.7, "text": 0.3}
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.beta1, optimizer.beta2, optimizer.weight_decay, optimizer.clip) == (
        "adamw", 0.9, 0.95, 0.1, 1.0,
    )  # fmt: skip


def test_fine_tuning_is_the_last_stage_of_the_paper() -> None:
    ours, paper = read_recipe("finetune").stages[0], read_recipe("tiny").stages[-1]
    for key in ("learning_rate", "schedule", "freeze", "mask_prompt", "lr_multiplier", "aux_loss_alpha"):
        assert getattr(ours, key) == getattr(paper, key), key
    assert ours.accumulation * ours.tokens_per_batch == paper.accumulation * paper.tokens_per_batch / 4
    assert read_recipe("finetune").model.weights == "tiny"  # a name, found when training begins


def test_what_a_person_names_is_relative_to_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model").mkdir()
    config = read_recipe("finetune", ("records.mine=own/*.jsonl", "model.weights=own/model"))
    assert config.records == (("mine", str(tmp_path / "own" / "*.jsonl")),)
    assert config.model.weights == str(tmp_path / "own" / "model")
    assert read_recipe("finetune", ("model.weights=someone/model",)).model.weights == "someone/model"  # a hub id
    assert Path(dict(read_recipe("finetune").records)["mine"]).parent.name == "recipes"  # written in the recipe


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
    config = read_recipe("nano")
    assert [config.locate(step) for step in (0, 4804, 4805, 5955)] == [(0, 0), (0, 4804), (1, 0), (2, 0)]
    with pytest.raises(ValueError, match="after the last of 43440"):
        config.locate(43440)


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
    with pytest.raises(ConfigError, match="shipped: base, debug, finetune, lora, nano, small, tiny"):
        read_recipe("nanno")
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_recipe(broken)
