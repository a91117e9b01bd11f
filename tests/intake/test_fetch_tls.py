"""TLS: the certificate is checked for the host of the URL, though the connection goes to an address."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from internet import IMAGE, PUBLIC, Handler, World, refused, start

from vl2.intake.errors import IntakeError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[str, str]:
    """One for public.example that signs itself."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=public.example",
         "-addext", "subjectAltName=DNS:public.example", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def tls_world(certificate, monkeypatch) -> Iterator[tuple[World, list[str | None]]]:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda _, name, __: names.append(name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(server, "handle_error", lambda *_: None)  # handshakes that the client breaks off
    for world in start(server):
        yield world, names


def test_tls_checks_the_name_of_the_url_and_not_the_address(tls_world, certificate):
    world, names = tls_world
    trusting = ssl.create_default_context(cafile=certificate[0])
    assert world.fetcher(trusting).fetch("https://public.example/a.png") == IMAGE
    assert (world.dialled, Handler.seen, names) == ([(PUBLIC, 443)], [("public.example", "/a.png")], ["public.example"])
    assert refused(world.fetcher(trusting), "https://other.example/a.png").code == "fetch_failed"  # another name
    assert refused(world.fetcher(), "https://public.example/a.png").code == "fetch_failed"  # nobody vouches for it
    assert len(Handler.seen) == 1


def test_a_server_that_does_not_answer_the_handshake(world):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        world.port = silent.getsockname()[1]
        assert refused(world.fetcher(seconds=0.3), "https://public.example/").code == "timeout"
    with pytest.raises(IntakeError):
        world.fetcher(seconds=0.3).fetch("https://public.example/")
