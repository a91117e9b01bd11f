"""A server in a thread of this process, on a free port of 127.0.0.1: for tests, notebooks, programs that bring a model.

with in_background(create_app(lambda: vl2.load("nano"))) as server:
    requests.get(server.url + "/v1/models")
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from vl2.serve.connections import PatientServer, make_server

_END_SEC = 30.0


@contextlib.contextmanager
def in_background(app: Any, *, start_sec: float = 120.0, wait: bool = True) -> Iterator[PatientServer]:
    """Serve `create_app`'s application until the block ends; `url` of the server says where.

    Args:
        start_sec: how long loading may take.
        wait: whether to wait until requests are taken, not only until the server listens.

    Raises: what loading raised; TimeoutError.
    """
    server = make_server(app, "127.0.0.1", 0)
    service = app.state.service

    def run() -> None:
        with contextlib.suppress(Exception):  # of loading, which is raised below
            server.run_until_stopped()

    thread = threading.Thread(target=run, name="vl2-serve", daemon=True)
    thread.start()
    deadline = time.monotonic() + start_sec
    try:
        while not server.started or (wait and service.state == "loading"):
            if time.monotonic() > deadline or not thread.is_alive():
                raise service.error or TimeoutError(f"the server did not start within {start_sec:g} seconds")
            time.sleep(0.02)
        if service.error:
            raise service.error
        yield server
    finally:
        service.drain()
        server.should_exit = True
        thread.join(_END_SEC + service.settings.drain_sec)
