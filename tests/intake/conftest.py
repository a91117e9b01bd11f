"""What several tests of intake start from."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from internet import Handler, World, start


@pytest.fixture
def world() -> Iterator[World]:
    yield from start(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
