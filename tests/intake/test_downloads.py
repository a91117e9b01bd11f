"""Images of training data by URL: downloaded once, from public addresses, and trained on."""

import json
import pickle
from pathlib import Path

import pytest
from internet import OK, Handler, World, raw
from shards import llava, png

from vl2.config import ConfigError
from vl2.data.containers import DataError
from vl2.data.conversations import read_conversations
from vl2.downloads import Downloads, default_folder
from vl2.intake.errors import IntakeError
from vl2.train.loop import train
from vl2.train.metrics import read_metrics

RED = png("red")
SHORT = ("stages.0.steps=2", "log_every=1", "checkpoint.every_sec=0", "stages.0.mixture={mine=1}")


@pytest.fixture
def records(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(Handler.pages, "/red.png", raw(OK + b"Content-Length: %d\r\n\r\n" % len(RED) + RED))
    path = tmp_path / "urls.jsonl"
    path.write_text(json.dumps(llava("http://public.example/red.png", "red")) + "\n")
    return path


def test_each_url_is_asked_for_once(records: Path, world: World, tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "kept", world.fetcher())
    conversations, _ = read_conversations(records, fetch=downloads)
    again = Downloads(tmp_path / "kept", world.fetcher())("http://public.example/red.png", "image")
    assert again.read_bytes() == RED
    assert conversations[0][0].parts[0].source == again  # type: ignore[union-attr]
    assert len(world.dialled) == 1


def test_training_downloads_only_where_the_recipe_says_so(records: Path, world: World, tmp_path: Path) -> None:
    downloads, mine = Downloads(tmp_path / "kept", world.fetcher()), f"records.mine={records}"
    with pytest.raises(DataError, match=r"1 refused URL.*download it first and name the file, or allow it with fetch"):
        train("debug", tmp_path / "run", overrides=(*SHORT, mine), fetch=downloads)
    assert not world.dialled
    train("debug", tmp_path / "run", overrides=(*SHORT, mine, "fetch_images=true"), fetch=downloads)
    assert len(read_metrics(tmp_path / "run")) == 2
    assert len(world.dialled) == 1
    with pytest.raises(ConfigError, match="fetch_images = true: nothing here can download"):
        train("debug", tmp_path / "run", overrides=(*SHORT, mine, "fetch_images=true"))


@pytest.mark.parametrize("url", ["http://inner.example/red.png", "http://public.example/private", "http://127.0.0.1/x"])
def test_inner_hosts_are_not_asked(url: str, world: World, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="image"):
        Downloads(tmp_path, world.fetcher())(url, "image")
    assert not list(tmp_path.rglob("*"))


def test_a_missing_image_is_a_bad_record(records: Path, world: World, tmp_path: Path) -> None:
    records.write_text(records.read_text() + json.dumps(llava("http://public.example/missing", "red")) + "\n")
    conversations, (report,) = read_conversations(records, 1, Downloads(tmp_path / "kept", world.fetcher()))
    assert len(conversations) == 1
    assert report.reasons == {"failed download": 1}
    assert "urls.jsonl:2 (LLaVA): image: " in report.first[0]


def test_it_travels_to_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "vl2" / "images"
    assert pickle.loads(pickle.dumps(Downloads())) is not None
