"""Training on files of people: short runs, exact resume, bad records left out."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from shards import llava, png, write_lines, write_parquet, write_tar

from vl2.data.containers import DataError
from vl2.data.loader import make_loader
from vl2.data.mixture import MixtureError, PackedDataset
from vl2.data.packing import PackedBatch
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.config import read_recipe
from vl2.train.loop import train
from vl2.train.metrics import read_metrics

COLOURS = ("red", "green", "blue", "black", "white")
SHORT = ("stages.0.steps=4", "stages.0.warmup_steps=1", "log_every=1", "checkpoint.every_sec=0")
MINE = "stages.0.mixture={mine=1}"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The same five examples in every kind of file."""
    for colour in COLOURS:
        (tmp_path / f"{colour}.png").write_bytes(png(colour))
    rows = [llava(f"{colour}.png", colour) for colour in COLOURS]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    write_lines(tmp_path / "lines.jsonl", rows)
    write_parquet(tmp_path / "rows.parquet", [llava({"bytes": png(c), "path": c}, c) for c in COLOURS])
    for number, part in enumerate((COLOURS[:2], COLOURS[2:])):
        members = {f"{c}.{end}": x for c in part for end, x in (("json", llava("x.jpg", c)), ("png", png(c)))}
        write_tar(tmp_path / f"shard-{number}.tar", members)
    return {n: str(tmp_path / n) for n in ("list.json", "lines.jsonl", "rows.parquet", "shard-*.tar")}


def dataset(path: str, *more: str) -> PackedDataset:
    return stage_dataset(assemble(read_recipe("debug", (MINE, f"records.mine={path}", *more)), None, None), 0)


def same(a: PackedBatch, b: PackedBatch) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(PackedBatch)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def test_every_kind_of_file_gives_the_same_batches(files: dict[str, str]) -> None:
    first, *others = [dataset(path) for path in files.values()]
    assert first[3].num_targets > 0
    assert not same(first[3], first[4])
    for other in others:
        assert same(first[3], other[3])  # the number of a batch alone decides what it holds


@pytest.mark.parametrize("name", ["rows.parquet", "shard-*.tar"])
def test_workers_read_the_same(files: dict[str, str], name: str) -> None:
    data = dataset(files[name])
    many = list(make_loader(data, range(2, 6), workers=2, prefetch=1, pin=False))
    assert all(same(data[number], batch) for number, batch in zip(range(2, 6), many, strict=True))


@pytest.mark.parametrize("name", ["list.json", "rows.parquet"])
def test_a_resumed_run_goes_on_exactly(files: dict[str, str], tmp_path: Path, name: str) -> None:
    overrides = (*SHORT, MINE, f"records.mine={files[name]}")
    whole = train("debug", tmp_path / "whole", overrides=overrides)
    train("debug", tmp_path / "part", overrides=overrides, stop_at=2)
    train("debug", tmp_path / "part", overrides=overrides, resume=tmp_path / "part")
    assert whole.finished
    losses = [[line["loss"] for line in read_metrics(tmp_path / run)] for run in ("whole", "part")]
    assert len(losses[0]) == 4
    assert losses[0] == losses[1]


def test_bad_records_stop_a_run_unless_allowed(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(files["lines.jsonl"])
    good = dataset(str(path))
    path.write_text(path.read_text() + json.dumps(llava("none.png", "red")) + "\n")
    with pytest.raises(DataError, match=r"1 record is bad \(1 missing image\), max_bad_records = 0: .*lines\.jsonl:6"):
        dataset(str(path))
    assert same(dataset(str(path), "max_bad_records=1")[2], good[2])
    overrides = (*SHORT, MINE, f"records.mine={path}", "max_bad_records=1")
    train("debug", tmp_path / "run", overrides=overrides, stop_at=1)
    printed = capsys.readouterr().out
    assert "lines.jsonl (LLaVA): 5 records, 5 images, 5 answers, 1 bad: 1 missing image" in printed
    assert "lines.jsonl:6 (LLaVA): image 0: " in printed


def test_records_that_no_batch_takes_are_named(files: dict[str, str]) -> None:
    path = Path(files["lines.jsonl"])
    write_lines(path, [llava("red.png", "long " * 300)])
    with pytest.raises(MixtureError, match=r"20 samples of one batch failed.*lines\.jsonl:1|exceeds the limit"):
        _ = dataset(str(path))[0]
