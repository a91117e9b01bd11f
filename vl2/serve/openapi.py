"""/openapi.json: what the models of `protocol` and the routes of `app` promise."""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vl2.serve import protocol

_FILE = {"type": "string", "format": "binary", "description": "An image, or for /v1/ocr a PDF or TIFF, too."}
_REQUESTS = (protocol.ChatRequest, protocol.OcrForm, protocol.GroundForm, protocol.DrawForm)
_RESPONSES = (
    protocol.ChatResponse, protocol.OcrResponse, protocol.GroundResponse, protocol.ModelList, protocol.ModelCard,
    protocol.TilesResponse, protocol.Health, protocol.ErrorResponse,
)  # fmt: skip


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI document."""
    kinds: list[Any] = [(model, "validation") for model in _REQUESTS]
    kinds += [(model, "serialization") for model in _RESPONSES]
    _, found = models_json_schema(kinds, ref_template="#/components/schemas/{model}")
    schemas = found["$defs"]
    for form in (protocol.OcrForm, protocol.GroundForm, protocol.DrawForm):
        of_form = schemas[form.__name__]
        of_form["properties"]["file"] = _FILE
        of_form["required"] = [*of_form.get("required", []), "file"]
    return {
        "openapi": "3.1.0",
        "info": {"title": "vl2", "version": "1", "license": {"name": "MIT"}},
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    text, events = {"text/plain": {}, "text/markdown": {}}, {"text/event-stream": {}}
    by_name = _operation("The model by its name", {}, {"application/json": protocol.ModelCard})
    size = {"type": "string", "pattern": "^[1-9][0-9]{0,8}x[1-9][0-9]{0,8}$"}
    sizes = {
        "name": "size", "in": "query", "required": True, "description": "640x480, of each image of a conversation.",
        "schema": {"type": "array", "minItems": 1, "items": size},
    }  # fmt: skip
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/chat/completions": {
            "post": _operation(
                "The next answer of a conversation; server-sent events with stream",
                {"application/json": protocol.ChatRequest}, {"application/json": protocol.ChatResponse, **events},
            )
        },
        "/v1/ocr": {
            "post": _operation(
                "All text of an image or a document, page by page; one JSON object a line with stream",
                {"multipart/form-data": protocol.OcrForm},
                {"application/json": protocol.OcrResponse, **text, "application/x-ndjson": {}},
            )
        },
        "/v1/ground": {
            "post": _operation(
                "Regions of an image that a phrase describes",
                {"multipart/form-data": protocol.GroundForm}, {"application/json": protocol.GroundResponse},
            )
        },
        "/v1/draw": {
            "post": _operation(
                "A page of a document as a picture; x-num-pages says how many there are",
                {"multipart/form-data": protocol.DrawForm}, {"image/png": {}},
            )
        },
        "/v1/tiles": {
            "get": {
                **_operation("How images are cut into tiles", {}, {"application/json": protocol.TilesResponse}),
                "parameters": [sizes],
            }
        },
        "/v1/models": {"get": _operation("The model", {}, {"application/json": protocol.ModelList})},
        "/v1/models/{name}": {"get": {**by_name, "parameters": [name]}},
        "/health": {"get": _operation("Whether the engine steps", {}, {"application/json": protocol.Health}, False)},
        "/ready": {"get": _operation("Whether requests are taken", {}, {"application/json": protocol.Health}, False)},
        "/metrics": {"get": _operation("Figures for Prometheus", {}, {"text/plain": {}})},
    }  # fmt: skip


def _operation(
    summary: str, request: dict[str, Any], response: dict[str, Any], needs_key: bool = True
) -> dict[str, Any]:
    errors = _content({"application/json": protocol.ErrorResponse})
    if not needs_key:  # health and readiness say no in their own words
        errors = _content({"application/json": protocol.Health})
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "Done", "content": _content(response)},
            "4XX": {"description": "Refused", "content": _content({"application/json": protocol.ErrorResponse})},
            "5XX": {"description": "Not possible now", "content": errors},
        },
    }
    if request:
        operation["requestBody"] = {"required": True, "content": _content(request)}
    if needs_key:
        operation["security"] = [{"key": []}, {}]
    return operation


def _content(kinds: dict[str, type[BaseModel] | dict[str, Any]]) -> dict[str, Any]:
    return {
        kind: {"schema": model if isinstance(model, dict) else {"$ref": f"#/components/schemas/{model.__name__}"}}
        for kind, model in kinds.items()
    }
