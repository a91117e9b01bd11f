"""Servers on real sockets."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

import vl2
from vl2.api import Model
from vl2.serve.app import create_app
from vl2.serve.background import in_background
from vl2.serve.connections import PatientServer
from vl2.serve.settings import Settings

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


@pytest.fixture(scope="session")
def receipt() -> bytes:
    return (EXAMPLES / "receipt.png").read_bytes()


@pytest.fixture(scope="session")
def nano_server() -> Iterator[PatientServer]:
    """Nano as it ships."""
    with in_background(create_app(vl2.load, Settings())) as server:
        yield server


@pytest.fixture(scope="session")
def nano(nano_server: PatientServer) -> OpenAI:
    return OpenAI(base_url=nano_server.url + "/v1", api_key="none", max_retries=0, timeout=60)


@pytest.fixture(scope="session")
def scripted_model(scripted_checkpoint: Path) -> Model:
    """Says "The black cat sits down." and a box to everything, at once."""
    return vl2.load(scripted_checkpoint, local_files_only=True)


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """serve(load, **settings): a server of its own, as a context manager."""

    def start(load: Callable[[], Model], **settings: Any) -> Any:
        return in_background(create_app(load, Settings(**settings)))

    return start
