"""Downloads from a real server on this machine, and all that must not be downloaded."""

import random
import socket
import threading
import time

import pytest
from internet import CHUNKED, IMAGE, OTHER, PAGES, PUBLIC, Handler, raw, refused

from vl2.intake import fetch as fetch_module
from vl2.intake.errors import IntakeError
from vl2.intake.fetch import Fetcher, FetchLimits, dial


@pytest.mark.parametrize("path", ["/a.png", "/until-close.png", "/chunked.png", "/gzip.png", "/a.png#part"])
def test_download(world, path):
    assert world.fetcher().fetch("http://public.example" + path) == IMAGE
    assert world.dialled == [(PUBLIC, 80)]
    assert Handler.seen == [("public.example", path.partition("#")[0])]


def test_redirects_are_followed_and_every_hop_is_resolved(world):
    assert world.fetcher().fetch("http://public.example/one.png") == IMAGE
    assert world.dialled == [(PUBLIC, 80), (PUBLIC, 80), (OTHER, 80), (PUBLIC, 80)]
    assert [host for host, _ in Handler.seen] == ["public.example", "public.example", "other.example", "public.example"]
    assert refused(world.fetcher(max_redirects=2), "http://public.example/one.png").code == "too_many_redirects"


def test_redirect_in_utf8(world):
    assert world.fetcher().fetch("http://public.example/umlaut.png") == IMAGE


def test_redirect_loop(world):
    error = refused(world.fetcher(max_redirects=5), "http://public.example/loop.png")
    assert error.code == "too_many_redirects"
    assert "5 redirects" in str(error)
    assert len(world.dialled) == 6


@pytest.mark.parametrize(
    ("path", "code"),
    [("/private", "url_forbidden"), ("/loopback", "url_forbidden"), ("/metadata", "url_forbidden"),
     ("/port", "url_forbidden"), ("/file", "bad_url"), ("/data", "bad_url"), ("/odd", "bad_url")],
)  # fmt: skip
def test_redirects_to_where_nobody_may_go(world, path, code):
    assert refused(world.fetcher(), "http://public.example" + path).code == code
    assert world.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
     "[::ffff:a9fe:a9fe]", "10.0.0.1", "192.168.0.1", "172.16.9.9", "100.64.0.1", "169.254.169.254", "[fe80::1]",
     "[fd00:ec2::254]", "224.0.0.1", "240.0.0.1", "①②⑦.0.0.1", "inner.example", "inner.example.",
     "no-such-name.invalid"],
)  # fmt: skip
def test_inner_hosts_are_never_dialled(world, host):
    world.names["inner.example"] = ["10.0.0.5"]
    world.names["no-such-name.invalid"] = []
    error = refused(world.fetcher(), f"http://{host}/a.png")
    assert error.code == "url_forbidden"
    assert "without a public address" in str(error)
    assert world.dialled == []


@pytest.mark.parametrize("answers", [[PUBLIC, "10.0.0.5"], ["::1", PUBLIC], [PUBLIC, "::ffff:127.0.0.1"]])
def test_one_inner_address_refuses_the_name(world, answers):
    world.names["public.example"] = answers
    assert refused(world.fetcher(), "http://public.example/a.png").code == "url_forbidden"
    assert world.dialled == []


def test_rebinding(world, monkeypatch):
    """The first answer is public, all later ones private: the name is asked for once, and its answer dialled."""

    def rebind(host: str, port: int) -> list[str]:
        world.asked.append(host)
        return [PUBLIC] if len(world.asked) == 1 else ["127.0.0.1"]

    fetcher = Fetcher(resolve=rebind, dial=world.dial)
    monkeypatch.setattr(socket, "getaddrinfo", None)  # nobody else asks
    assert fetcher.fetch("http://public.example/a.png") == IMAGE
    assert (world.asked, world.dialled) == (["public.example"], [(PUBLIC, 80)])
    world.asked.clear()
    assert refused(fetcher, "http://public.example/loop.png").code == "url_forbidden"  # after the first redirect
    assert world.dialled == [(PUBLIC, 80), (PUBLIC, 80)]


def test_mapped_public_addresses_are_dialled_as_ipv4(world):
    world.names["public.example"] = [f"::ffff:{PUBLIC}"]
    assert world.fetcher().fetch("http://public.example/a.png") == IMAGE
    assert world.dialled == [(PUBLIC, 80)]


def test_the_next_address_is_tried(world):
    def dial_second(address: str, port: int, seconds: float) -> socket.socket:
        if address == OTHER:
            raise ConnectionRefusedError(f"no route to {address}")
        return world.dial(address, port, seconds)

    world.names["public.example"] = [OTHER, PUBLIC]
    assert Fetcher(resolve=world.resolve, dial=dial_second).fetch("http://public.example/a.png") == IMAGE
    world.names["public.example"] = [OTHER]
    error = refused(Fetcher(resolve=world.resolve, dial=dial_second), "http://public.example/a.png")
    assert error.code == "fetch_failed"
    assert OTHER not in str(error)


def test_the_default_dial_connects_to_the_address_it_is_given(world, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    with dial("127.0.0.1", world.port, 5.0) as sock:
        assert sock.getpeername() == ("127.0.0.1", world.port)


def test_the_default_resolver_names_numbers():
    assert fetch_module.resolve("127.0.0.1", 80) == ["127.0.0.1"]
    assert refused(Fetcher(), "http://127.0.0.1:80/").code == "url_forbidden"
    assert refused(Fetcher(), "http://localhost/").code == "url_forbidden"


@pytest.mark.parametrize("port", [22, 8080, 0, 65535])
def test_ports(world, port):
    error = refused(world.fetcher(), f"http://public.example:{port}/a.png")
    assert error.code == "url_forbidden"
    assert "80, 443" in str(error)
    assert world.fetcher(ports=frozenset([port])).fetch(f"http://public.example:{port}/a.png") == IMAGE
    assert Handler.seen == [(f"public.example:{port}", "/a.png")]


@pytest.mark.parametrize(
    ("hosts", "allowed"),
    [(["public.example"], True), ([".example"], True), (["example"], False), (["lic.example"], False), ([], False),
     ([".public.example"], False), (["other.example"], False)],
)  # fmt: skip
def test_list_of_hosts(world, hosts, allowed):
    fetcher = world.fetcher(hosts=frozenset(hosts))
    if allowed:
        assert fetcher.fetch("http://PUBLIC.example./a.png") == IMAGE
        return
    assert refused(fetcher, "http://public.example/a.png").code == "url_forbidden"
    assert world.asked == []


def test_list_of_hosts_holds_for_redirects_and_opens_no_inner_ones(world):
    assert refused(world.fetcher(hosts=frozenset(["public.example"])), "http://public.example/one.png").code == (
        "url_forbidden"
    )
    assert refused(world.fetcher(hosts=frozenset(["inner.example"])), "http://inner.example/").code == "url_forbidden"
    assert {address for address, _ in world.dialled} == {PUBLIC}


@pytest.mark.parametrize(
    ("path", "code"),
    [("/says-too-much", "too_large"), ("/says-more", "fetch_failed"), ("/says-minus", "too_large"),
     ("/says-two", "fetch_failed"), ("/endless", "too_large"), ("/endless-chunks", "too_large"),
     ("/endless-size", "fetch_failed"), ("/endless-line", "fetch_failed"), ("/endless-headers", "fetch_failed"),
     ("/bad-chunk", "fetch_failed"), ("/no-http", "fetch_failed"),
     ("/nothing", "fetch_failed"), ("/missing", "fetch_failed"), ("/partial", "fetch_failed"),
     ("/nowhere.png", "fetch_failed")],
)  # fmt: skip
def test_servers_that_lie(world, path, code):
    assert refused(world.fetcher(), "http://public.example" + path).code == code


def test_damaged_answers(world, monkeypatch):
    """Bytes, or one clear error."""
    chance, page = random.Random(0), CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"
    fetcher, codes = world.fetcher(seconds=2.0), set()
    for _ in range(100):
        damaged = bytearray(page)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice([0, 10, 13, 32, 58, 255, chance.randrange(256)])
        monkeypatch.setitem(PAGES, "/damaged", raw(bytes(damaged)))
        try:
            codes.add(type(fetcher.fetch("http://public.example/damaged")))
        except IntakeError as error:
            codes.add(error.code)
    assert codes == {bytes, "fetch_failed"}


def test_interim_answers_without_end(world):
    error = refused(world.fetcher(max_bytes=1000), "http://public.example/endless-continue")
    assert error.code == "too_large"


def test_what_comes_after_the_announced_length_is_not_read(world):
    assert world.fetcher().fetch("http://public.example/says-less") == IMAGE[:4]


def test_the_limit_is_a_limit(world):
    for path in ("/a.png", "/chunked.png", "/until-close.png"):
        assert world.fetcher(max_bytes=len(IMAGE)).fetch("http://public.example" + path) == IMAGE
        error = refused(world.fetcher(max_bytes=len(IMAGE) - 1), "http://public.example" + path)
        assert error.code == "too_large"
        assert f"{len(IMAGE) - 1} bytes" in str(error)


@pytest.mark.parametrize("path", ["/slow-body", "/slow-headers", "/slow-chunk"])
def test_slow_servers(world, path):
    began = time.monotonic()
    error = refused(world.fetcher(seconds=0.4), "http://public.example" + path)
    assert error.code == "timeout"
    assert "0.4 seconds" in str(error)
    assert time.monotonic() - began < 4


def test_slow_names(world):
    free = threading.Event()
    fetcher = Fetcher(FetchLimits(seconds=0.2), resolve=lambda *_: [str(free.wait(10))], dial=world.dial)
    assert refused(fetcher, "http://public.example/a.png").code == "timeout"
    free.set()


def test_data_urls_need_no_network(world):
    assert world.fetcher().fetch("data:image/png;base64,aGVsbG8=") == b"hello"
    assert refused(world.fetcher(max_bytes=4), "data:,hello").code == "too_large"
    assert (world.asked, world.dialled) == ([], [])


def test_proxies_of_the_environment_are_not_used(world, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert world.fetcher().fetch("http://public.example/a.png") == IMAGE


def test_fifty_at_once(world):
    fetcher, got = world.fetcher(seconds=30.0), []
    threads = [
        threading.Thread(target=lambda: got.append(fetcher.fetch("http://public.example/one.png"))) for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [IMAGE] * 50
