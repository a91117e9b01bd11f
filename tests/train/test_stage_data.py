"""What a stage's dataset yields: purity, mixing, failures."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_synth import TINY_SYNTH, TinySample, generate

import vl2.data.loader as loader
import vl2.data.mixture as mixture
from vl2.data.loader import LoaderError, default_workers, make_loader, to_device
from vl2.data.mixture import USE_DISTANCE, MixtureError, PackedDataset, SynthSource
from vl2.data.packing import PackedBatch
from vl2.data.records import Record, write_records
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.config import read_recipe

MIXED = ("stages.0.mixture={line=1, scene=3}", "stages.0.num_samples=0", "stages.0.patch_loss_weight=1.0")


def dataset(overrides: Sequence[str] = MIXED, synth: SynthSource = TINY_SYNTH) -> PackedDataset:
    return stage_dataset(assemble(read_recipe("debug", overrides), synth, None), 0)


def same(a: PackedBatch, b: PackedBatch) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(PackedBatch)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def test_a_batch_depends_on_nothing_but_seed_stage_and_number() -> None:
    ours, other = dataset(), dataset()
    assert same(ours[3], other[3])
    _ = ours[0]
    assert same(ours[3], other[3])
    assert not same(ours[3], ours[4])
    assert not same(ours[3], dataset((*MIXED, "seed=2"))[3])


def test_workers_keep_the_order() -> None:
    data = dataset()
    alone = list(make_loader(data, range(2, 6), workers=0, prefetch=1, pin=False))
    many = list(make_loader(data, range(2, 6), workers=2, prefetch=2, pin=False))
    assert len(alone) == 4
    assert all(same(a, b) for a, b in zip(alone, many, strict=True))
    assert [host for host, _ in to_device(iter(alone), torch.device("cpu"))] == alone


def test_mixture_follows_the_weights() -> None:
    large = ("stages.0.tokens_per_batch=8192", "stages.0.tiles_per_batch=120", "stages.0.max_prompts=64")
    data = dataset((*MIXED, *large))
    counts = np.bincount([int(t) for i in range(6) for t in _prompt_tasks(data[i])], minlength=2)
    assert 0.65 < counts[1] / counts.sum() < 0.85


def _prompt_tasks(batch: PackedBatch) -> list[int]:
    prompts = batch.prompt_T[batch.target_positions_L]
    return [int(batch.target_tasks_L[prompts == number][0]) for number in range(len(batch.sequence_lengths))]


def test_samples_come_again_with_other_questions() -> None:
    settings = (*MIXED, "stages.0.uses=2", "stages.0.num_samples=0", "stages.0.questions_per_image=1")
    ours, fresh = dataset(settings), dataset(settings)
    first, again, other = ours[3], ours[3 + USE_DISTANCE], ours[4]
    shared = min(first.num_tiles, again.num_tiles, other.num_tiles, 3)
    assert torch.equal(first.tiles_NCYX[:shared], again.tiles_NCYX[:shared])
    assert not torch.equal(first.tiles_NCYX[:shared], other.tiles_NCYX[:shared])
    assert first.input_ids_T.tolist() != again.input_ids_T.tolist()
    assert same(fresh[3 + USE_DISTANCE], again)  # drawn again where it was not kept
    assert not ours._kept.keys() & {key for key in fresh._kept}  # given away at the last use
    third = ours[3 + 2 * USE_DISTANCE]
    assert not torch.equal(first.tiles_NCYX[:shared], third.tiles_NCYX[:shared])


def test_kept_samples_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture, "MAX_KEPT", 5)
    data = dataset((*MIXED, "stages.0.uses=2", "stages.0.num_samples=0"))
    for number in range(4):
        _ = data[number]
    assert len(data._kept) == 5


def test_patch_labels_belong_to_the_tiles() -> None:
    batch = dataset()[0]
    centres = batch.tiles_NCYX[: batch.num_tiles, :, 6::12, 6::12].short()
    coloured = (centres.amax(1) - centres.amin(1) > 60).flatten(1)
    assert torch.equal(batch.patch_classes_NP[: batch.num_tiles] == 1, coloured)
    assert batch.num_foreground == int(coloured.sum()) > 0


def test_records_mix_with_tasks(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "blue.png")
    mine = tmp_path / "mine.jsonl"
    write_records([Record("m/1", ("blue.png",), "Colour?", ("blue",), "exact", "m")], mine)
    data = dataset(("stages.0.mixture={line=1, mine=1}", f"records.mine={mine}"))
    batch = data[0]
    tokens = batch.labels_T[batch.target_positions_L[batch.target_tasks_L == 1]].tolist()
    backend = assemble(read_recipe("debug"), TINY_SYNTH, None).tokenizer
    assert backend.decode(tokens[:5]) == "blue"  # four bytes and the end


def test_unknown_sources_are_named() -> None:
    with pytest.raises(MixtureError, match=r"'lines', which is neither.*known: line, scene"):
        dataset(("stages.0.mixture={lines=1}",))


def _flaky(task: str, seed: int, index: int, split: str) -> TinySample:
    if index % 3 == 0:
        raise RuntimeError("ink is empty")
    return generate(task, seed, index, split)


def _broken(task: str, seed: int, index: int, split: str) -> TinySample:
    raise RuntimeError("ink is empty")


def test_single_failures_are_counted_and_many_are_refused() -> None:
    data = dataset(synth=replace(TINY_SYNTH, generate=_flaky))
    assert sum(data[i].num_dropped for i in range(5)) > 0
    with pytest.raises(
        MixtureError, match=r"20 samples.*task 'scene', seed 1, index \d+: RuntimeError\('ink is empty'\)"
    ):
        _ = dataset(("stages.0.mixture={scene=1}",), replace(TINY_SYNTH, generate=_broken))[0]


def test_too_little_shared_memory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loader, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 16}))
    with pytest.raises(LoaderError, match=r"loader\.workers"):
        make_loader(dataset(), range(1), workers=2, prefetch=2, pin=False)


def test_workers_are_as_many_as_the_cores_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(loader.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [default_workers(sharing) for sharing in (1, 2, 16)] == [7, 3, 0]
