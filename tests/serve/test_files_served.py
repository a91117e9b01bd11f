"""/v1/ocr and /v1/ground: documents page by page, regions, answers that go round in circles."""

import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from asking import encoded, form, picture, png
from PIL import Image

import vl2
from vl2.api import Model
from vl2.data.records import read_records
from vl2.eval.metrics import box_iou
from vl2.model.vl2 import VL2
from vl2.processing.boxes import Box, Region
from vl2.processing.tokenizer import Tokenizer
from vl2.serve.connections import PatientServer

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


@pytest.fixture(scope="module")
def notice() -> bytes:
    return (EXAMPLES / "notice.pdf").read_bytes()


def tiff(count: int) -> bytes:
    out = io.BytesIO()
    picture().save(out, "TIFF", save_all=True, append_images=[picture(seed=n) for n in range(1, count)])
    return out.getvalue()


def test_a_pdf_says_over_http_what_it_says_in_python(nano_server: PatientServer, notice: bytes) -> None:
    whole = form(nano_server.url, "/v1/ocr", notice).json
    assert (whole["object"], whole["num_pages"]) == ("ocr", 2)
    expected = {page.number: page.answer for page in vl2.load().read_document(notice)}
    assert [page["page"] for page in whole["pages"]] == [1, 2]
    for page in whole["pages"]:
        answer = expected[page["page"]]
        assert answer
        assert (page["text"], page["finish_reason"], page["error"]) == (answer.text, answer.finish_reason, None)
    sums = {name: sum(page["usage"][name] for page in whole["pages"]) for name in ("prompt_tokens", "total_tokens")}
    assert sums.items() <= whole["usage"].items()


def test_formats(nano_server: PatientServer, notice: bytes, receipt: bytes) -> None:
    second = form(nano_server.url, "/v1/ocr", notice, pages="2", format="markdown")
    assert second.headers["content-type"].startswith("text/markdown")
    assert second.body.decode().startswith("## Page 2\n\nAgenda")
    plain = form(nano_server.url, "/v1/ocr", notice, format="text", max_tokens="5").body.decode()
    assert plain.startswith("--- page 1 ---\n")
    assert "\n\n--- page 2 ---\n" in plain
    image = form(nano_server.url, "/v1/ocr", receipt, format="text", max_tokens="8").body.decode()
    assert "page" not in image


def test_a_stream_of_pages(scripted: PatientServer) -> None:
    reply = form(scripted.url, "/v1/ocr", tiff(12), stream="true", pages="3-12")
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in reply.body.splitlines()]
    assert [line["type"] for line in lines] == ["start", *["page"] * 10, "done"]
    assert (lines[0]["num_pages"], lines[0]["pages"]) == (12, list(range(3, 13)))
    assert {line["page"] for line in lines[1:-1]} == set(range(3, 13))
    assert {line["text"] for line in lines[1:-1]} == {"The black cat sits down."}


def test_limits_on_pages(scripted: PatientServer, scripted_checkpoint: Path, serve: Any) -> None:
    refused = form(scripted.url, "/v1/ocr", tiff(4), max_pages="3")
    assert (refused.status, refused.error["param"]) == (400, "pages")
    assert form(scripted.url, "/v1/ocr", tiff(4), max_pages="3", pages="2-4").status == 200
    with serve(lambda: vl2.load(scripted_checkpoint), max_pages=2) as server:
        assert form(server.url, "/v1/ocr", tiff(3), max_pages="50").status == 400
        assert form(server.url, "/v1/ocr", tiff(2)).status == 200


def test_a_page_that_fails_is_a_result(scripted: PatientServer) -> None:
    out = io.BytesIO()
    pages = [Image.new("RGB", (30, 30)), Image.new("1", (8000, 8000)), Image.new("RGB", (30, 30))]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    reply = form(scripted.url, "/v1/ocr", out.getvalue())
    assert [page["error"] is None for page in reply.json["pages"]] == [True, False, True]
    assert "could not be read" in form(scripted.url, "/v1/ocr", out.getvalue(), format="text").body.decode()


def test_grounding(nano_server: PatientServer, receipt: bytes) -> None:
    found = form(nano_server.url, "/v1/ground", receipt, phrase="the total").json
    assert (found["object"], found["width"], found["height"]) == ("ground", 320, 291)
    records = read_records(EXAMPLES / "records.jsonl")
    truth = next(record.answers[0] for record in records if record.question == "the total")
    assert isinstance(truth, Region)
    assert box_iou(Box(*found["regions"][0]["box"]), truth.box) >= 0.5
    assert found["text"] == "the total"
    tags = form(nano_server.url, "/v1/ground", receipt, phrase="<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>")
    assert tags.status == 200  # letters, not tags; whatever it finds


@pytest.fixture
def looping(make_model: Callable[..., VL2], byte_tokenizer: Tokenizer) -> Model:
    """Says "the the the ..." to everything."""
    network = make_model("base", max_position_embeddings=4000)
    words = byte_tokenizer.encode("the total ")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if any(part in name for part in ("o_proj", "down_proj", "experts.down")):
                parameter.zero_()
        embed, head = network.language.embed_tokens.weight, network.language.lm_head.weight
        head.zero_()
        for before, after in pairwise([*byte_tokenizer.encode(":"), *words, words[0]]):
            head[after] = embed[before] / embed[before].norm()
    return Model(network, byte_tokenizer)


def test_loops_are_cut_and_said(looping: Model, serve: Any) -> None:
    with serve(looping) as server:
        page = form(server.url, "/v1/ocr", png(), max_tokens="3000").json["pages"][0]
        assert page["finish_reason"] == "repetition"
        assert page["text"].count("total") == 2
        assert page["usage"]["completion_tokens"] < 1000


def test_other_kinds_of_images(scripted: PatientServer) -> None:
    for kind in ("JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        assert form(scripted.url, "/v1/ground", encoded(picture(), kind), phrase="x").status == 200
