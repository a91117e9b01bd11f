"""Keys, other sites, /metrics, /openapi.json, and requests made from the schema."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from asking import chat, form, png, send, user
from hypothesis import HealthCheck, given, settings
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

import vl2
from vl2.cli_serve import _keys
from vl2.serve.connections import PatientServer


def key(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def test_keys(scripted_checkpoint: Path, serve: Any) -> None:
    with serve(lambda: vl2.load(scripted_checkpoint), api_keys=("first-key", "second-key")) as server:
        for path in ("/v1/models", "/metrics"):
            assert send(server.url, path).status == 401
            assert send(server.url, path, headers=key("second-key")).status == 200
        for path in ("/health", "/ready", "/openapi.json"):
            assert send(server.url, path).status == 200
        for wrong in (key("first-ke"), key("first-keyy"), key(""), key("\xff"), {"authorization": "first-key"},
                      {"authorization": "Basic first-key"}):  # fmt: skip
            reply = chat(server.url, headers=wrong)
            assert (reply.status, reply.error["type"]) == (401, "authentication_error")
            assert reply.headers["www-authenticate"] == "Bearer"
            assert "first-key" not in reply.body.decode()
        assert chat(server.url, headers=key("first-key")).status == 200
        assert form(server.url, "/v1/ocr", png()).status == 401
        assert "first-key" not in repr(server.service.settings)


def test_where_keys_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VL2_API_KEYS", raising=False)
    assert _keys(None) == ()
    monkeypatch.setenv("VL2_API_KEYS", "one, two")
    assert _keys(None) == ("one", "two")
    file = tmp_path / "keys"
    file.write_text("three\n\n four \n")
    assert _keys(file) == ("three", "four")
    file.write_text("\n")
    with pytest.raises(ValueError, match="holds no key"):
        _keys(file)


def test_other_sites(scripted_checkpoint: Path, scripted: PatientServer, serve: Any) -> None:
    """No site may read what the server says, or make it work, unless it was named."""
    origin = {"origin": "https://example.com", "sec-fetch-site": "cross-site"}
    refused = chat(scripted.url, headers=origin)
    assert refused.status == 403
    assert "access-control-allow-origin" not in refused.headers
    assert chat(scripted.url, headers={"origin": scripted.url, "sec-fetch-site": "same-origin"}).status == 200
    asked = {"origin": "https://example.com", "access-control-request-method": "POST"}
    assert send(scripted.url, "/v1/models", method="OPTIONS", headers=asked).status == 405
    with serve(lambda: vl2.load(scripted_checkpoint), cors_origins=("https://example.com",)) as server:
        assert send(server.url, "/v1/models", method="OPTIONS", headers=asked).status == 200
        allowed = chat(server.url, headers=origin)
        assert allowed.status == 200
        assert allowed.headers["access-control-allow-origin"] == "https://example.com"
        other = {"origin": "https://example.org", "sec-fetch-site": "cross-site"}
        assert chat(server.url, headers=other).status == 403


def figures(server: PatientServer) -> dict[str, float]:
    text = send(server.url, "/metrics").body.decode()
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics(scripted_checkpoint: Path, serve: Any) -> None:
    with serve(lambda: vl2.load(scripted_checkpoint)) as server:
        before = figures(server)
        assert before["vl2_cache_blocks_used"] == before["vl2_running"] == before["vl2_waiting"] == 0
        usage: Any = None
        for _ in range(3):
            usage = chat(server.url, user("What is the total of this receipt?" * 4, png())).json["usage"]
        chat(server.url, temperature=9)
        after = figures(server)
        assert after["vl2_requests_total /v1/chat/completions 200"] == 3
        assert after["vl2_requests_total /v1/chat/completions 400"] == 1
        assert after["vl2_answers_total stop"] == 3
        assert after["vl2_prompt_tokens_total"] == 3 * usage["prompt_tokens"]
        assert after["vl2_image_tokens_total"] == 3 * usage["prompt_tokens_details"]["image_tokens"]
        assert after["vl2_generated_tokens_total"] == 3 * usage["completion_tokens"]
        assert after["vl2_time_to_first_token_seconds_count"] == 3
        between = 3 * (usage["completion_tokens"] - 1)  # less those that came together with a first one
        assert between / 2 < after["vl2_inter_token_seconds_count"] <= between
        assert after["vl2_prefix_cache_hit_tokens_total"] == 2 * usage["prompt_tokens_details"]["cached_tokens"] > 0
        assert after["vl2_images_encoded_total"] == 1
        assert after["vl2_requests_admitted"] == after["vl2_cache_blocks_used"] == 0


CHECKS: Any = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_requests_made_from_the_schema(scripted: PatientServer) -> None:
    """Good and bad ones alike get what the schema promises, and bad ones are refused."""
    found: Any = schemathesis.openapi.from_url(scripted.url + "/openapi.json").get_all_operations()
    operations = [one.ok() for one in found]
    assert len(operations) == 10
    for operation, mode in itertools.product(operations, schemathesis.GenerationMode):
        if mode is schemathesis.GenerationMode.NEGATIVE and operation.method == "get":
            continue  # nothing to get wrong

        @settings(max_examples=20, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
        @given(case=operation.as_strategy(mode))
        def check(case: Any) -> None:
            # In a form everything is text, so that a number is no wrong phrase.
            more = [negative_data_rejection] if case.operation.path.endswith("completions") else []
            case.call_and_validate(checks=CHECKS + more)

        check()
