"""Hugging Face datasets as sources: saved ones, with images inside, read by number and in worker processes."""

from pathlib import Path

import pytest
import torch
from shards import llava, png

from vl2.data.containers import DataError
from vl2.data.conversations import read_conversations
from vl2.data.loader import make_loader
from vl2.processing.messages import Image, Text
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.config import read_recipe

datasets = pytest.importorskip("datasets", minversion="4")
COLOURS = ("red", "green", "blue")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Rows in LLaVA's shape, images as the library stores them, and a column that nothing here knows."""
    rows = [{**llava({"bytes": png(c), "path": None}, c), "score": 0.5} for c in COLOURS]
    found = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    found.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": found, "test": found.select([0])}).save_to_disk(tmp_path / "splits")
    return tmp_path


def test_rows_and_images(saved: Path) -> None:
    conversations, bad = read_conversations(f"datasets:{saved / 'saved'}")
    assert not bad
    assert [conversations[n][1].parts for n in range(3)] == [(Text(colour),) for colour in COLOURS]
    (image,) = (part for part in conversations[1][0].parts if isinstance(part, Image))
    assert image.source == png("green")  # the bytes as they were stored, not decoded and encoded again
    assert conversations.where(2) == f"datasets:{saved / 'saved'}: row 2 (LLaVA)"


def test_splits(saved: Path) -> None:
    assert len(read_conversations(f"datasets:{saved / 'splits'}#test")[0]) == 1
    with pytest.raises(DataError, match=r"holds splits train, test; add one, as in datasets:.*splits#train"):
        read_conversations(f"datasets:{saved / 'splits'}")


def test_what_is_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"datasets:.*: cannot be opened \("):
        read_conversations(f"datasets:{tmp_path}")


def test_recipes_name_them_and_workers_read_them(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved)
    config = read_recipe("debug", ("stages.0.mixture={mine=1}", "records.mine=datasets:splits#train"))
    assert config.records == (("mine", f"datasets:{saved / 'splits'}#train"),)
    other = read_recipe("debug", ("records.mine=datasets:owner/name:config#train",))
    assert other.records == (("mine", "datasets:owner/name:config#train"),)  # on the hub
    data = stage_dataset(assemble(config, None, None), 0)
    (batch,) = make_loader(data, range(3, 4), workers=1, prefetch=1, pin=False)
    assert batch.num_targets > 0
    assert torch.equal(batch.input_ids_T, data[3].input_ids_T)
