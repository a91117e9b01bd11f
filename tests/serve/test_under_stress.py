"""Clients that leave, crawl, flood and drop; an engine and workers that fail. Everybody else is served as before."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from asking import chat, eventually, png, send, user
from typer.testing import CliRunner

import vl2
from vl2.api import Model
from vl2.cli_serve import app
from vl2.intake.decode import DecodeLimits, DecoderPool
from vl2.serve.connections import PatientServer

LONG = {"max_tokens": 40_000, "stream": True}  # of the endless model: minutes


def connect(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname or "", place.port or 0), timeout=30)


def post(body: bytes, path: str = "/v1/chat/completions") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def begin(url: str, **fields: Any) -> socket.socket:
    """A request whose answer is left to be read."""
    sock = connect(url)
    sock.sendall(post(json.dumps({"model": "nano", "messages": user("What?"), **LONG, **fields}).encode()))
    return sock


def is_idle(server: PatientServer) -> bool:
    """Whether nothing is left of any request."""
    service = server.service
    stats = service.stats()
    assert stats
    empty = (service.admission.num_admitted, service.admission.num_bytes, service.engine_loop.num_live) == (0, 0, 0)
    return empty and (stats.num_running, stats.num_waiting) == (0, 0) and stats.num_free_blocks == stats.num_blocks


def until_closed(sock: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(2**16):
            received += data
    return received


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_is_not_worked_for(make_endless: Callable[..., Model], serve: Any, stream: bool) -> None:
    """In the middle of a stream, while waiting for a whole answer, in the queue; all that was held is free again."""
    with serve(make_endless(max_running=2), stall_sec=30) as server:
        clients = [begin(server.url, stream=stream, n=n) for n in (1, 1, 2)]
        eventually(lambda: server.service.stats().num_running == 2 and server.service.stats().num_generated_tokens > 5)
        assert server.service.admission.num_admitted == 4
        for client in clients:
            client.close()
        eventually(lambda: is_idle(server))
        done = server.service.stats().num_generated_tokens
        assert chat(server.url, max_tokens=3).json["usage"]["completion_tokens"] == 3
        assert server.service.stats().num_generated_tokens <= done + 4


def test_a_full_queue(make_endless: Callable[..., Model], serve: Any) -> None:
    with serve(make_endless(max_running=1), max_queue=1) as server:
        clients = [begin(server.url), begin(server.url)]
        eventually(lambda: server.service.admission.num_admitted == 2)
        refused = chat(server.url, max_tokens=1)
        assert (refused.status, refused.error["type"], refused.error["code"]) == (429, "rate_limit_error", "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        large = connect(server.url)  # is told so before it has sent everything
        large.sendall(b"POST /v1/ocr HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n")
        assert large.recv(100).startswith(b"HTTP/1.1 429")
        assert send(server.url, "/health").status == 200
        clients.pop().close()
        eventually(lambda: server.service.admission.num_admitted == 1)
        assert chat(server.url, n=2, max_tokens=1).status == 429  # room for one
        clients.pop().close()
        eventually(lambda: is_idle(server))
        assert chat(server.url, n=2, max_tokens=1).status == 200


def test_who_waits_long_hears_something(
    make_endless: Callable[..., Model], serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or proxies would give up."""
    monkeypatch.setattr("vl2.serve.answers._PATIENCE_SEC", 0.1)
    with serve(make_endless(max_running=1)) as server:
        running, waiting = begin(server.url), begin(server.url, max_tokens=2)
        received = b""
        while received.count(b": waiting\n\n") < 2:
            received += waiting.recv(1000)
        running.close()
        assert b"[DONE]" in until_done(waiting)
        waiting.close()


def test_a_flood_is_answered_or_refused_but_never_fails(make_endless: Callable[..., Model], serve: Any) -> None:
    with serve(make_endless(max_running=4), max_queue=8) as server, ThreadPoolExecutor(40) as threads:
        replies = list(threads.map(lambda n: chat(server.url, max_tokens=5 + n % 7), range(160)))
        assert {reply.status for reply in replies} <= {200, 429}
        assert sum(reply.status == 200 for reply in replies) >= 12
        eventually(lambda: is_idle(server))


def test_connections_that_are_opened_and_dropped(scripted: PatientServer) -> None:
    body = json.dumps({"model": "nano", "messages": user("What?", png())}).encode()
    whole = post(body)
    for number in range(300):
        sock = connect(scripted.url)
        sock.sendall([b"", b"GET", whole[:60], whole[:-5], whole, b"\x00\xff rubbish\r\n\r\n"][number % 6])
        sock.close()
    assert chat(scripted.url, user("What?", png())).status == 200
    eventually(lambda: is_idle(scripted))
    eventually(lambda: len(scripted.server_state.connections) <= 1)


def test_slow_clients_are_cut_off(scripted_checkpoint: Any, serve: Any) -> None:
    with serve(lambda: vl2.load(scripted_checkpoint), header_sec=0.4, body_sec=0.4, write_sec=0.4) as server:
        silent, half, slow = connect(server.url), connect(server.url), connect(server.url)
        half.sendall(b"GET /v1/models HTTP/1.1\r\nhost:")
        slow.sendall(post(b"x" * 1000)[:-500])
        deaf = connect(server.url)
        deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 600)  # some 10 MB that it does not read
        assert until_closed(silent) == b""
        assert until_closed(half) == b""
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
        kept = connect(server.url)  # idle after an answer, then slow with the next request
        kept.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert kept.recv(1000).startswith(b"HTTP/1.1 200")
        kept.sendall(b"GET /heal")
        until_closed(kept)
        eventually(lambda: not server.server_state.connections)
        assert chat(server.url).status == 200
        deaf.close()


def test_headers_without_end_are_cut_off(scripted: PatientServer) -> None:
    sock = connect(scripted.url)
    with pytest.raises(ConnectionError):  # noqa: PT012
        sock.sendall(b"GET / HTTP/1.1\r\n")
        for number in range(100_000):
            sock.sendall(f"x-{number}: {'y' * 1000}\r\n".encode())


def test_a_decoder_that_is_killed(scripted: PatientServer) -> None:
    assert chat(scripted.url, user("?", png())).status == 200
    workers = list(scripted.service.decoders._live)
    assert workers
    for worker in workers:
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda n: chat(scripted.url, user("?", png(seed=n))), range(8)))
    assert {reply.status for reply in replies} == {200}
    assert not set(workers) & scripted.service.decoders._live


def test_a_decoder_that_dies_or_hangs_of_a_file(scripted_checkpoint: Any, serve: Any) -> None:
    """Whoever sent the file is told so; the next one is served by a new process."""
    bad = Path(__file__).parent.parent / "intake" / "bad_worker.py"
    command = (sys.executable, "-P", str(bad))
    with (
        serve(lambda: vl2.load(scripted_checkpoint)) as server,
        DecoderPool(1, DecodeLimits(seconds=1.0, max_pixels=100), command=command) as pool,
    ):
        server.service.decoders = pool
        for file, code in ((b"die", "decoder_failed"), (b"hang", "timeout"), (b"huge", "decoder_failed")):
            reply = chat(server.url, user("?", file))
            assert (reply.status, reply.error["code"]) == (400, code)
            assert chat(server.url, user("?", b"good")).status == 200


@contextlib.contextmanager
def failing(engine: Any, times: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    launch, left = engine.runner.launch, [times]

    def fail(chunks: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("device-side assert at 0x7f00")
        return launch(chunks)

    with monkeypatch.context() as patch:
        patch.setattr(engine.runner, "launch", fail)
        yield


def test_a_step_that_fails(make_endless: Callable[..., Model], serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that ran get an error, in a stream as an event; the one that waited and all later ones are answered."""
    model = make_endless(max_running=1)
    with serve(model) as server:
        running = begin(server.url)
        running.recv(1000)
        waiting = begin(server.url, max_tokens=3)
        eventually(lambda: server.service.stats().num_waiting == 1)
        with failing(model.engine, 1, monkeypatch):
            text = until_done(running).decode()
            assert '"code":"engine_failed"' in text
            assert "[DONE]" not in text
            assert "0x7f00" not in text
            assert b"[DONE]" in until_done(waiting)
        assert chat(server.url, max_tokens=2).status == 200
        assert send(server.url, "/health").status == 200
        eventually(lambda: is_idle(server))


def until_done(sock: socket.socket) -> bytes:
    """A chunked response to its end."""
    received = b""
    while not received.endswith(b"0\r\n\r\n") and (data := sock.recv(2**16)):
        received += data
    return received


def test_an_engine_that_is_lost(make_endless: Callable[..., Model], serve: Any, monkeypatch: Any) -> None:
    """Some failures may be the fault of requests; when nothing works any more, the server says so."""
    model = make_endless()
    with serve(model) as server, failing(model.engine, 99, monkeypatch):
        for _ in range(7):
            reply = chat(server.url, max_tokens=2)
            assert (reply.status, reply.error["code"]) == (500, "engine_failed")
            assert send(server.url, "/health").status == 200
        assert chat(server.url).status == 500
        assert send(server.url, "/health").status == 503
        assert send(server.url, "/ready").status == 503
        assert chat(server.url).status == 503


def test_a_device_that_is_lost(make_endless: Callable[..., Model], serve: Any, monkeypatch: Any) -> None:
    model = make_endless()
    monkeypatch.setattr(model.engine, "is_alive", lambda: False)
    with serve(model) as server, failing(model.engine, 1, monkeypatch):
        assert chat(server.url).status == 500
        assert send(server.url, "/health").status == 503


def test_an_engine_in_disorder(make_endless: Callable[..., Model], serve: Any, monkeypatch: Any) -> None:
    """What fails outside of steps leaves nobody waiting."""
    model = make_endless()
    with serve(model) as server:
        first, second = begin(server.url), begin(server.url)
        eventually(lambda: server.service.stats().num_running == 2)
        monkeypatch.setattr(model.engine.scheduler, "finish", lambda sequence: [].remove(sequence))
        first.close()
        assert b'"code":"engine_failed"' in until_done(second)
        assert send(server.url, "/health").status == 503
        second.close()


def test_an_engine_that_hangs(make_endless: Callable[..., Model], serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_endless()
    go_on, step = threading.Event(), model.engine.step

    def hang() -> Any:
        go_on.wait(30)
        return step()

    monkeypatch.setattr(model.engine, "step", hang)
    with serve(model, stall_sec=0.3) as server:
        assert send(server.url, "/health").status == 200  # nothing to do is no hang
        time.sleep(0.5)
        assert send(server.url, "/health").status == 200
        client = begin(server.url, max_tokens=3)
        eventually(lambda: send(server.url, "/health").status == 503)
        go_on.set()
        eventually(lambda: send(server.url, "/health").status == 200)
        assert b"[DONE]" in until_done(client)


def test_loading(scripted_checkpoint: Any, serve: Any) -> None:
    go_on = threading.Event()

    def load() -> Model:
        go_on.wait(30)
        return vl2.load(scripted_checkpoint)

    with serve(load, wait=False) as server:
        assert send(server.url, "/health").status == 200
        assert send(server.url, "/ready").status == 503
        reply = chat(server.url)
        assert (reply.status, reply.error["code"]) == (503, "not_ready")
        assert int(reply.headers["retry-after"]) >= 1
        assert send(server.url, "/v1/models").status == 503
        assert send(server.url, "/metrics").status == 200
        go_on.set()
        eventually(lambda: send(server.url, "/ready").status == 200)
        assert chat(server.url).status == 200


def test_a_model_that_cannot_be_loaded(serve: Any) -> None:
    with pytest.raises(ValueError, match="no such directory"), serve(lambda: vl2.load("./nowhere")):
        pytest.fail("it is not there")


@contextlib.contextmanager
def command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`vl2 serve` in a process of its own, and its URL."""
    words = [sys.executable, "-m", "vl2", "serve", "--port", "0", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr
            line = process.stderr.readline()
            yield process, line.split()[-1]
        finally:
            process.kill()


def test_the_command_drains_before_it_stops() -> None:
    with command("--max-running", "1", "--unready-sec", "1") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        body = {
            "model": "nano",
            "messages": user("Read."),
            "stream": True,
            "max_tokens": 150,
            "temperature": 2,
            "seed": 1,
        }
        clients = [begin(url, **body), begin(url, **body)]  # one runs, one waits
        clients[0].recv(1000)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: send(url, "/ready").status == 503)
        assert chat(url).status == 503
        for client in clients:
            assert b"[DONE]" in until_done(client)
        process.wait(timeout=30)
        with pytest.raises(OSError, match="refused"):
            connect(url)


def test_the_command_says_in_one_line_what_is_wrong() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for options in (["--port", "0", "--model", "./nowhere"], ["--port", str(taken.getsockname()[1])]):
            done = CliRunner().invoke(app, ["serve", *options])
            assert done.exit_code == 2
            assert done.output.startswith("vl2: ")
            assert done.output.count("\n") == 1, done.output


def test_the_command_names_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("vl2.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httptools", None)
    monkeypatch.delitem(sys.modules, "uvicorn.protocols.http.httptools_impl")
    done = CliRunner().invoke(app, ["serve", "--port", "0"])
    assert done.exit_code == 2
    assert done.output == "vl2: vl2 serve needs httptools: pip install 'vl2[serve]'\n"
