"""Finding weights without a network: the hub client is replaced by a stand-in."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

import vl2.hub
from vl2.hub import NANO_DIR, ModelNotFoundError, find_model


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What was asked of the hub; every repository exists."""
    seen: list[dict[str, Any]] = []

    def snapshot_download(repository: str, **options: Any) -> str:
        seen.append({"repository": repository, **options})
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(vl2.hub, "snapshot_download", snapshot_download)
    return seen


def error_of(name: str | Path, **options: Any) -> str:
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nano_is_in_the_package(calls: list[dict[str, Any]]) -> None:
    assert find_model("nano") == NANO_DIR
    assert NANO_DIR.is_relative_to(Path(vl2.hub.__file__).parent)
    assert calls == []


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("tiny", "deepseek-ai/deepseek-vl2-tiny"),
        ("small", "deepseek-ai/deepseek-vl2-small"),
        ("base", "deepseek-ai/deepseek-vl2"),
        ("somebody/their-model", "somebody/their-model"),
    ],
)
def test_names_of_repositories(name: str, repository: str, calls: list[dict[str, Any]], tmp_path: Path) -> None:
    assert find_model(name) == tmp_path / "snapshot"
    assert [call["repository"] for call in calls] == [repository]


def test_only_safe_files_are_asked_for(calls: list[dict[str, Any]]) -> None:
    """No pickles, no code."""
    find_model("tiny")
    assert set(calls[0]["allow_patterns"]) == {"*.json", "*.safetensors"}


def test_options_reach_the_hub(calls: list[dict[str, Any]]) -> None:
    find_model("tiny", local_files_only=True, revision="v1")
    find_model("tiny")
    assert [(call["local_files_only"], call["revision"]) for call in calls] == [(True, "v1"), (False, None)]


def test_directories(calls: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my" / "model"
    folder.mkdir(parents=True)
    assert "no config.json in this directory" in error_of(folder)
    (folder / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model(folder) == folder
    assert find_model("my/model") == Path("my/model")  # a directory here comes before a repository of that name
    assert find_model("~/my/model") == folder
    assert calls == []
    (tmp_path / "tiny").mkdir()  # a published name means the published model wherever one stands
    assert find_model("tiny") == tmp_path / "snapshot"
    assert "no config.json" in error_of("./tiny")


@pytest.mark.parametrize(
    "name", ["large", "", "a/b/c", "/absent/model", "./absent/model", "../absent", "./a", "~/a", "model.bin"]
)
def test_what_is_neither(name: str, calls: list[dict[str, Any]]) -> None:
    assert repr(name) in error_of(name)
    assert calls == []


def raised(kind: type[Exception], text: str) -> Exception:
    """An error of the hub client without the HTTP response that its constructor wants."""
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    return error


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (LocalEntryNotFoundError, "not in the local cache and the hub is not reachable"),
        (RepositoryNotFoundError, "no such directory or hub repository"),
        (RevisionNotFoundError, "the hub answered first second"),
        (GatedRepoError, "no access; accept its terms"),
        (HFValidationError, "no such directory or hub repository"),
        (HfHubHTTPError, "the hub answered first second"),
        (ConnectionError, "the download failed (first second)"),
        (OSError, "the download failed (first second)"),
    ],
)
def test_hub_errors(kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repository: str, **options: Any) -> str:
        raise raised(kind, "first\nsecond")

    monkeypatch.setattr(vl2.hub, "snapshot_download", snapshot_download)
    message = error_of("owner/model")
    assert "owner/model" in message
    assert words in message


def test_offline_with_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client, told to stay off the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "'deepseek-ai/deepseek-vl2-tiny'" in error_of("tiny", local_files_only=True)


def test_offline_with_a_full_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client finds what an earlier download left, and never asks the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository, commit = tmp_path / "models--owner--model", "0123456789abcdef0123456789abcdef01234567"
    for folder, name, content in (("refs", "main", commit), (f"snapshots/{commit}", "config.json", "{}")):
        (repository / folder).mkdir(parents=True)
        (repository / folder / name).write_text(content)
    assert find_model("owner/model", local_files_only=True) == repository / "snapshots" / commit
    assert find_model("owner/model", local_files_only=True, revision=commit) == repository / "snapshots" / commit
    assert "not in the local cache" in error_of("owner/model", local_files_only=True, revision="v2")
