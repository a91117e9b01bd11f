"""processor_config.json in the published form: read strictly, written back the same."""

import dataclasses
import json

import pytest

from vl2.config import BASE, NANO, ConfigError
from vl2.processing.processor import ProcessorConfig, read_processor, read_tokenizer, write_processor

PUBLISHED = {
    "add_special_token": False,
    "candidate_resolutions": [list(pair) for pair in BASE.candidate_resolutions],
    "downsample_ratio": 2,
    "ignore_id": -100,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "image_token": "<image>",
    "mask_prompt": False,
    "normalize": True,
    "pad_token": "<｜▁pad▁｜>",
    "patch_size": 14,
    "processor_class": "DeepseekVLV2Processor",
    "sft_format": "deepseek",
}


def test_published_file_reads_and_writes_back(tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps(PUBLISHED), encoding="utf-8")
    config = read_processor(tmp_path)
    assert config == ProcessorConfig.of(BASE)
    write_processor(config, tmp_path / "out")
    text = (tmp_path / "out" / "processor_config.json").read_text(encoding="utf-8")
    assert json.loads(text) == PUBLISHED
    assert list(json.loads(text)) == list(PUBLISHED)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["processor_config.json"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("sft_format", "plain"), ("image_mean", [0.48, 0.45, 0.4]), ("normalize", False), ("image_token", "<img>"),
     ("ignore_id", -1), ("add_special_token", True), ("pad_token", "<pad>"), ("unknown", 1), ("patch_size", "14"),
     ("candidate_resolutions", []), ("candidate_resolutions", [[384]]), ("mask_prompt", 0),
     ("processor_class", "DeepseekOCRProcessor")],
)  # fmt: skip
def test_every_other_value_is_refused_by_name(tmp_path, key, value):
    (tmp_path / "processor_config.json").write_text(json.dumps(PUBLISHED | {key: value}), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"processor_config\.json: {key}"):
        read_processor(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe"])
def test_files_that_are_no_json_object_are_named(tmp_path, content):
    (tmp_path / "processor_config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"processor_config\.json"):
        read_processor(tmp_path)
    with pytest.raises(ConfigError, match=r"none.processor_config\.json"):
        read_processor(tmp_path / "none")


def test_processor_must_fit_the_model():
    ProcessorConfig.of(NANO).require_match(NANO)
    other = dataclasses.replace(ProcessorConfig.of(BASE), candidate_resolutions=((384, 384),))
    with pytest.raises(ConfigError, match=r"candidate_resolutions = \(\(384, 384\),\)"):
        other.require_match(BASE)
    with pytest.raises(ConfigError, match="patch_size = 16"):
        dataclasses.replace(ProcessorConfig.of(BASE), patch_size=16).require_match(BASE)


def test_tokenizer_larger_than_the_model_is_refused(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    assert read_tokenizer(tmp_path, BASE).special == tokenizer.special
    with pytest.raises(ConfigError, match=r"vocab_size = 9728: .*tokenizer\.json has 128823 ids"):
        read_tokenizer(tmp_path, NANO)
