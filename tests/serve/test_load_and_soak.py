"""The scripts that measure a server, for seconds instead of minutes."""

import asyncio
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from vl2.serve.connections import PatientServer

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return [importlib.import_module(name) for name in ("loopback_client", "serve_load", "serve_soak")]


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
def test_soak(scripts: Any, nano_server: PatientServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Good, bad, aborted and dropped requests; everything is as before."""
    assert asyncio.run(scripts[2].soak(nano_server.url, os.getpid(), 1.5, 100)) == 0
    printed = capsys.readouterr().out
    assert "100 opened and dropped" in printed
    assert "0 things went wrong" in printed


def test_load(scripts: Any, nano_server: PatientServer) -> None:
    load = scripts[1]
    outcomes, seconds = asyncio.run(load.run(nano_server.url, load.questions("nano"), 2, 4))
    assert [outcome.is_whole for outcome in outcomes] == [True] * 4
    assert load.row(2, outcomes, seconds).endswith("| 0 |")
    outcomes, _ = asyncio.run(load.run(nano_server.url, load.made_up("nano", 20, 4), 3, 3))
    assert {outcome.status for outcome in outcomes} == {200}


def test_only_this_machine(scripts: Any) -> None:
    with pytest.raises(AssertionError, match="loopback only"):
        asyncio.run(scripts[0].send("http://93.184.215.14:80", b""))
