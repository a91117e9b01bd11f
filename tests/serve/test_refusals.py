"""What the server refuses, and how: the right status, the field, one line, no address, no trace, never a 500."""

import io
import json
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
from asking import chat, data_url, encoded, eventually, form, picture, png, send, user
from PIL import Image

import vl2
from vl2.intake.fetch import Fetcher, FetchLimits
from vl2.serve.connections import PatientServer

OK_TEXT = "The black cat sits down."


def image_part(url: str, **extra: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **extra}}


def of_user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def check_refusal(reply: Any, status: int, param: str | None) -> None:
    assert reply.status == status, reply.body
    error = reply.error
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert "\n" not in error["message"]
    assert not re.search(r"0x[0-9a-f]{4}|Traceback|\.py\b|/work|/home|/usr", reply.body.decode())


def test_it_answers(scripted: PatientServer) -> None:
    reply = chat(scripted.url, user("What?", png()))
    assert reply.json["choices"][0]["message"]["content"] == OK_TEXT
    assert reply.json["choices"][0]["regions"][0]["label"] == "black cat"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"foo": 1}, "foo"),
        ({"tools": []}, "tools"),
        ({"functions": None}, "functions"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"best_of": 2}, "best_of"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"n": 1.5}, "n"),
        ({"seed": -1}, "seed"),
        ({"stop": ["a", ""]}, "stop.1"),
        ({"stop": 3}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_completion_tokens"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": 3}, "logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"chunks": 1}}, "stream_options.chunks"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "what"}}}},
            "response_format.json_schema.schema",
        ),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages.0.name"),
        ({"messages": of_user({"type": "input_audio"})}, "messages.0.content.0"),
        ({"messages": of_user({"type": "text", "text": 1})}, "messages.0.content.0.text"),
        ({"messages": of_user(image_part("data:,", detail="best"))}, "messages.0.content.0.image_url.detail"),
        ({"messages": of_user({"type": "image_url", "image_url": "data:,"})}, "messages.0.content.0.image_url"),
        ({"messages": [{"role": "system", "content": [image_part("data:,")]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [*user("a"), *user("b")]}, "messages"),
        ({"messages": user("word " * 500)}, "messages"),
        ({"messages": of_user(*[image_part("data:,")] * 33)}, "messages"),
    ],
)  # fmt: skip
def test_bad_fields(scripted: PatientServer, fields: dict[str, Any], param: str) -> None:
    reply = chat(scripted.url, **fields)
    check_refusal(reply, 400, param)
    assert (
        reply.error["message"].startswith(param)
        or "message" in reply.error["message"]
        or "prompt" in reply.error["message"]
    )


def test_fields_that_change_nothing_may_be_sent(scripted: PatientServer) -> None:
    neutral = {
        "frequency_penalty": 0, "presence_penalty": 0.0, "response_format": {"type": "text"}, "user": "somebody",
        "stop": None, "seed": None, "stream": None, "logprobs": False, "n": 1, "temperature": 0, "top_p": 1,
    }  # fmt: skip
    assert chat(scripted.url, **neutral).json["choices"][0]["message"]["content"] == OK_TEXT


def test_high_detail_of_many_images_is_refused(scripted: PatientServer) -> None:
    reply = chat(scripted.url, user("?", png(), png(), png(), detail="high"))
    check_refusal(reply, 400, "messages.0.content.0.image_url.detail")


def test_another_model(scripted: PatientServer) -> None:
    reply = chat(scripted.url, model="gpt-4o")
    check_refusal(reply, 404, "model")
    assert reply.error["code"] == "model_not_found"
    assert send(scripted.url, "/v1/models/other").status == 404


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": "nano"', b"[" * 100_000, b'{"a":' * 50_000,
     b'{"model": NaN}',
     b'{"model": "nano", "messages": [{"role": "user", "content": "\\ud800"}], "max_tokens": 1e400}'],
)  # fmt: skip
def test_malformed_json(scripted: PatientServer, body: bytes) -> None:
    reply = send(scripted.url, "/v1/chat/completions", body, {"content-type": "application/json"})
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"


def test_other_content_types_paths_and_methods(scripted: PatientServer) -> None:
    url = scripted.url
    assert send(url, "/v1/chat/completions", b"{}", {"content-type": "text/plain"}).status == 415
    assert send(url, "/v1/ocr", b"{}", {"content-type": "application/json"}).status == 415
    assert send(url, "/v1/chat/completions").status == 405
    assert send(url, "/v1/completions", b"{}").error["type"] == "not_found_error"
    assert send(url, "/v1/nothing").status == 404
    assert send(url, "/health", b"", method="DELETE").status == 405


def test_huge_bodies_and_headers(scripted_checkpoint: Any, serve: Callable[..., Any]) -> None:
    with serve(lambda: vl2.load(scripted_checkpoint), max_body_bytes=100_000, max_file_bytes=40_000) as server:
        reply = chat(server.url, user("x" * 100_000))
        check_refusal(reply, 413, None)
        chunked = {"content-type": "application/json", "transfer-encoding": "chunked"}
        pieces = b"".join(b"2710\r\n" + b" " * 10_000 + b"\r\n" for _ in range(11)) + b"0\r\n\r\n"
        assert send(server.url, "/v1/chat/completions", pieces, chunked).status == 413
        check_refusal(
            chat(server.url, of_user(image_part(data_url(b"x" * 50_000)))), 413, "messages.0.content.0.image_url.url"
        )
        assert form(server.url, "/v1/ocr", b"x" * 50_000).status == 413
        assert chat(server.url, headers={"x-long": "x" * 40_000}).status == 431
        assert chat(server.url).status == 200
        assert server.service.admission.num_bytes == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png", "http://localhost/x.png", "http://[::1]/x.png", "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x.png", "http://2130706433/", "http://0x7f.1/", "https://[::ffff:127.0.0.1]/",
    ],
)  # fmt: skip
def test_inner_addresses_are_not_fetched(scripted: PatientServer, url: str) -> None:
    reply = chat(scripted.url, of_user(image_part(url)))
    check_refusal(reply, 400, "messages.0.content.0.image_url.url")
    assert reply.error["code"] == "url_forbidden"


class Pictures(BaseHTTPRequestHandler):
    """A web site with a picture, one that is too large, and a way to inner addresses."""

    def do_GET(self) -> None:
        body = {"/cat.png": png(), "/long.png": b"x" * 50_000}.get(self.path, b"")
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("location", "http://169.254.169.254/latest/meta-data")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: Any) -> None:
        """Quiet."""


def test_urls(scripted_checkpoint: Any, serve: Callable[..., Any]) -> None:
    """A picture of a public address is fetched; the size is watched, and so is where redirects lead."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    threading.Thread(target=site.serve_forever, daemon=True).start()

    def dial(address: str, port: int, seconds: float) -> socket.socket:
        assert (address, port) == ("93.184.215.14", 80)
        return socket.create_connection(site.server_address[:2], seconds)  # type: ignore[arg-type]

    def answer(path: str) -> Any:
        return chat(server.url, of_user(image_part(f"http://example.com/{path}")))

    with serve(lambda: vl2.load(scripted_checkpoint)) as server:
        limits = FetchLimits(max_bytes=40_000)
        addresses = {"example.com": ["93.184.215.14"]}
        server.service.fetcher = Fetcher(limits, resolve=lambda host, _: addresses.get(host, [host]), dial=dial)
        assert answer("cat.png").json["choices"][0]["message"]["content"] == OK_TEXT
        assert answer("long.png").error["code"] == "too_large"
        assert answer("away").error["code"] == "url_forbidden"
        assert answer("nothing").error["code"] == "not_an_image"
    site.shutdown()
    site.server_close()


@pytest.mark.parametrize(
    "url", ["/etc/passwd", "file:///etc/passwd", "ftp://example.com/x", "receipt.png", "", "C:\\x.png"]
)
def test_paths_are_no_urls(scripted: PatientServer, url: str) -> None:
    reply = chat(scripted.url, of_user(image_part(url)))
    check_refusal(reply, 400, "messages.0.content.0.image_url.url")
    assert reply.error["code"] == "bad_url"


def test_downloads_can_be_turned_off(scripted_checkpoint: Any, serve: Callable[..., Any]) -> None:
    with serve(lambda: vl2.load(scripted_checkpoint), fetch_urls=False) as server:
        reply = chat(server.url, of_user(image_part("https://example.com/x.png")))
        assert reply.error["code"] == "url_forbidden"
        assert chat(server.url, user("?", png())).status == 200


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (bomb(60_000, 60_000), "too_many_pixels"),
        (bomb(100, 100), "not_an_image"),
        (png()[:60], "not_an_image"),
        (b"GIF89a", "not_an_image"),
        (b"", "not_an_image"),
        (b"%PDF-1.7 no image", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_an_image"),
    ],
    ids=["bomb", "short of pixels", "cut", "head only", "empty", "pdf", "eps"],
)
def test_files_that_are_no_images(scripted: PatientServer, file: bytes, code: str) -> None:
    reply = chat(scripted.url, user("?", file))
    check_refusal(reply, 400, "messages.0.content.0.image_url.url")
    assert reply.error["code"] == code
    assert form(scripted.url, "/v1/ground", file, phrase="x").error["code"] == code


def fuzzed(count: int) -> list[bytes]:
    random = Random(0)
    kinds = [("PNG", {}), ("JPEG", {}), ("GIF", {}), ("WEBP", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {})]
    originals = [encoded(picture(31, 17, seed), kind, **options) for seed, (kind, options) in enumerate(kinds)]
    out = []
    for number in range(count):
        data = bytearray(originals[number % len(originals)])
        for _ in range(random.randint(1, 8)):
            data[random.randrange(len(data))] = random.randrange(256)
        out.append(bytes(data[: random.randint(10, len(data))] if number % 3 == 0 else data))
    return out


def test_fuzzed_images_hurt_nobody(scripted: PatientServer) -> None:
    """Good requests among them are all answered."""
    good = chat(scripted.url, user("?", png())).json["choices"][0]["message"]

    def one(number_and_file: tuple[int, bytes]) -> tuple[bool, Any]:
        number, file = number_and_file
        return number % 4 == 0, chat(scripted.url, user("?", png() if number % 4 == 0 else file))

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(one, enumerate(fuzzed(120))))
    for is_good, reply in replies:
        if is_good:
            assert reply.json["choices"][0]["message"] == good
        elif reply.status != 200:  # a changed pixel is still an image
            check_refusal(reply, 400, "messages.0.content.0.image_url.url")
    assert {reply.status for _, reply in replies} == {200, 400}
    eventually(lambda: scripted.service.admission.num_admitted == 0)  # a client may have its answer a moment before


def test_forms(scripted: PatientServer) -> None:
    url = scripted.url
    check_refusal(form(url, "/v1/ocr"), 400, "file")
    check_refusal(form(url, "/v1/ocr", png(), what="1"), 400, "what")
    check_refusal(form(url, "/v1/ocr", png(), pages="7"), 400, "pages")
    check_refusal(form(url, "/v1/ocr", png(), pages="one"), 400, "pages")
    check_refusal(form(url, "/v1/ocr", png(), format="docx"), 400, "format")
    check_refusal(form(url, "/v1/ocr", png(), format="text", stream="true"), 400, "format")
    check_refusal(form(url, "/v1/ocr", png(), max_tokens="0"), 400, "max_tokens")
    check_refusal(form(url, "/v1/ocr", png(), model="x"), 404, "model")
    check_refusal(form(url, "/v1/ocr", b"%PDF-1.4 nothing"), 400, "file")
    check_refusal(form(url, "/v1/ground", png()), 400, "phrase")
    check_refusal(form(url, "/v1/ground", png(), phrase=" "), 400, "phrase")
    check_refusal(form(url, "/v1/ground", phrase="x"), 400, "file")
    broken = send(url, "/v1/ocr", b"--x\r\nrubbish", {"content-type": "multipart/form-data; boundary=x"})
    assert broken.status == 400
    assert send(url, "/v1/ocr", b"", {"content-type": "multipart/form-data"}).status == 400


def test_pages_of_bombs(scripted: PatientServer) -> None:
    """A TIFF whose second page is too large: the first is read all the same."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "TIFF", save_all=True, append_images=[Image.new("1", (9000, 9000))])
    pages = form(scripted.url, "/v1/ocr", out.getvalue()).json["pages"]
    assert pages[0]["text"] == OK_TEXT
    assert pages[1]["text"] is None
    assert "pixels" in pages[1]["error"]


def test_a_response_of_the_wrong_shape_never_leaves(scripted: PatientServer) -> None:
    """Numbers that JSON does not have cannot appear: probabilities of impossible tokens are -9999."""
    reply = chat(scripted.url, logprobs=True, top_logprobs=20, max_tokens=2)
    assert json.loads(reply.body, parse_constant=lambda name: pytest.fail(name))
