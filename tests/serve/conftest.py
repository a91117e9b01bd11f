"""Servers on real sockets."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI

import vl2
from vl2.api import Model
from vl2.model.vl2 import VL2
from vl2.processing.tokenizer import Tokenizer
from vl2.serve.app import create_app
from vl2.serve.background import in_background
from vl2.serve.connections import PatientServer
from vl2.serve.settings import Settings

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
Serve = Callable[..., AbstractContextManager[PatientServer]]


@pytest.fixture(scope="session")
def receipt() -> bytes:
    return (EXAMPLES / "receipt.png").read_bytes()


@pytest.fixture(scope="session")
def serve() -> Serve:
    """serve(model, **settings): a server of its own, as a context manager."""

    def start(model: Model | Callable[[], Model], **settings: Any) -> AbstractContextManager[PatientServer]:
        load = (lambda: model) if isinstance(model, Model) else model
        wait = settings.pop("wait", True)
        return in_background(create_app(load, Settings(**settings)), wait=wait)

    return start


@pytest.fixture(scope="session")
def nano_server(serve: Serve) -> Iterator[PatientServer]:
    """Nano as it ships."""
    with serve(vl2.load) as server:
        yield server


@pytest.fixture(scope="session")
def nano(nano_server: PatientServer) -> OpenAI:
    return OpenAI(base_url=nano_server.url + "/v1", api_key="none", max_retries=0, timeout=60)


@pytest.fixture(scope="session")
def scripted(scripted_checkpoint: Path, serve: Serve) -> Iterator[PatientServer]:
    """Says "The black cat sits down." and a box to everything, at once."""
    with serve(lambda: vl2.load(scripted_checkpoint, local_files_only=True)) as server:
        yield server


@pytest.fixture
def make_endless(make_model: Callable[..., VL2], byte_tokenizer: Tokenizer) -> Callable[..., Model]:
    """make_endless(**engine): a small model with random weights that never stops by itself."""

    def make(**engine: Any) -> Model:
        network = make_model("small", max_position_embeddings=50_000)
        with torch.no_grad():
            network.language.lm_head.weight[byte_tokenizer.special.eos] = 0
        return Model(network, byte_tokenizer, None, engine)

    return make
