"""Two replicas under a local Ray: requests are spread, one is killed under load, and no client notices.

Ray is not among the packages for development (340 MB with what it needs, half a minute to start), so this runs where it
is installed: pip install 'vl2[ray]'.
"""

import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import DefaultHttpxClient, OpenAI

ray = pytest.importorskip("ray", reason="needs vl2[ray]")
NAME = f"vl2-{os.getpid()}"
STATUSES: Counter[int] = Counter()  # of all responses, also those after which the client tries again
SCHEMA = {"type": "array", "items": {"const": 1}, "minItems": 60, "maxItems": 60}
LONG = {"type": "json_schema", "json_schema": {"name": "ones", "schema": SCHEMA}}  # an answer that takes a while


def pids() -> set[int]:
    """Of the replicas' processes, which Ray names."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_text().startswith(f"ray::ServeReplica:{NAME}:"):
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def client(scripted_checkpoint: Path) -> Iterator[OpenAI]:
    from ray import serve  # type: ignore[import-not-found]

    from vl2.serve.replicas import ReplicaOptions, app

    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for name, value in {
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "VL2_API_KEYS": "abc, def",
        }.items():
            patch.setenv(name, value)
        folder = tempfile.mkdtemp(prefix="vl2-ray-")  # its sockets need a short path
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False,
            _node_ip_address="127.0.0.1", _temp_dir=folder,
        )  # fmt: skip
        free.close()
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        options = ReplicaOptions(
            model=str(scripted_checkpoint), name="cats", device="cpu", replicas=2, cpus=0.5, max_running=4, max_queue=50
        )
        serve.run(app(options), name=NAME, route_prefix="/")
        hooks = {"response": [lambda response: STATUSES.update([response.status_code])]}
        http_client = DefaultHttpxClient(event_hooks=hooks)
        yield OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="def", timeout=60, http_client=http_client)
        serve.shutdown()
        ray.shutdown()


def ask(client: OpenAI, number: int, **options: Any) -> str:
    messages: Any = [{"role": "user", "content": f"What is {number}?"}]
    answer = client.chat.completions.create(model="cats", messages=messages, **options)
    return answer.choices[0].message.content or ""


def test_replicas_speak_the_same_api(client: OpenAI) -> None:
    """Keys, errors and streams are those of one server."""
    assert len(pids()) == 2
    assert ask(client, 0) == "The black cat sits down."
    stream = client.chat.completions.create(
        model="cats",
        messages=[{"role": "user", "content": "What?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "The black cat sits down."
    assert chunks[-1].usage is not None
    with pytest.raises(Exception, match="colour: unknown") as caught:
        client.chat.completions.create(
            model="cats", messages=[{"role": "user", "content": "?"}], extra_body={"colour": "red"}
        )
    assert caught.value.status_code == 400  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="401"):
        ask(client.with_options(api_key="wrong"), 0)


def test_a_replica_that_dies_costs_a_retry_at_most(client: OpenAI) -> None:
    """SIGKILL while both are busy: every client has its answer, and a new replica takes the place.

    The client tries again by itself, as those of OpenAI do.
    """
    before = pids()
    victim = min(before)
    started = threading.Event()

    def work(worker: int) -> list[str]:
        answers = []
        for number in range(4):
            answers.append(ask(client, 100 * worker + number, response_format=LONG))
            started.set()
        return answers

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(work, worker) for worker in range(8)]
        assert started.wait(60)
        os.kill(victim, signal.SIGKILL)
        answers = [future.result(timeout=120) for future in futures]
    assert answers == [[json.dumps([1] * 60)] * 4] * 8
    assert 0 < STATUSES[500] <= 4  # what the dead one was answering
    deadline = time.monotonic() + 90
    while len(pids() - {victim}) < 2:
        assert time.monotonic() < deadline, "no new replica"
        time.sleep(0.2)
    assert ask(client, 1) == "The black cat sits down."
