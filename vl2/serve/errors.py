"""Errors as clients of OpenAI's API know them: {"error": {"message", "type", "param", "code"}}.

The trap: a message must never hold an address, a path or a trace; what is unexpected is logged here and says so there.
"""

import logging
from collections.abc import Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from vl2.engine.types import CapacityError
from vl2.intake.errors import IntakeError
from vl2.processing.documents import DocumentError
from vl2.processing.messages import MessageError
from vl2.processing.render import ContextError

log = logging.getLogger("vl2.serve")

_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {404: "not_found", 405: "method_not_allowed"}
_SAFE = {404: "no such path", 405: "this path does not take this method"}
_STATUS = {"busy": 503, "closed": 503, "too_large": 413, "too_many_pixels": 400}  # of intake; others are 400
# Errors of ours whose one line is meant for whoever sent the request, with the field that they are about.
_FOR_CLIENTS: dict[type[ValueError], tuple[str, str]] = {
    ContextError: ("messages", "context_length_exceeded"),
    CapacityError: ("max_tokens", "context_length_exceeded"),
    MessageError: ("messages", "invalid_value"),
    DocumentError: ("pages", "invalid_value"),
}


class ApiError(Exception):
    """A refusal.

    Args:
        param: the field of the request that it is about.
        code: for programs.
        retry_sec: when trying again makes sense.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        retry_sec: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.retry_sec = status, message, param, code, retry_sec

    @property
    def body(self) -> dict[str, Any]:
        kind = _KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        headers = {} if self.retry_sec is None else {"retry-after": str(self.retry_sec)}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(self.body, self.status, headers)


def invalid(param: str | None, message: str, code: str = "invalid_value") -> ApiError:
    """A field that cannot be honoured."""
    return ApiError(400, message, param=param, code=code)


def refused(errors: Sequence[Any]) -> ApiError:
    """The first of the errors that pydantic found, with the path of its field."""
    first = errors[0]
    param = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        return invalid(param, f"{param}: unknown or not supported by this server; leave it out", "unknown_parameter")
    if first["type"] == "missing":
        return invalid(param, f"{param}: required", "missing_parameter")
    message = first["msg"].removeprefix("Value error, ")
    if not param and first["type"] == "value_error":  # of the whole request; it names its field itself
        return invalid(message.partition(":")[0], message)
    return invalid(param or None, f"{param}: {message}" if param else f"the body: {message}")


def _path(loc: Sequence[str | int]) -> str:
    """messages.0.content.1.text; without the kinds that pydantic adds where a field may be one of several models."""
    names = [str(name) for name in loc]
    if names[:1] == ["messages"]:
        if names[2:4] == ["user", "content"]:
            del names[5:6]
        del names[2:3]
    elif names[:1] == ["response_format"]:
        del names[1:2]
    return ".".join(names)


def of_intake(error: IntakeError, param: str) -> ApiError:
    """What the client is told about a file that was not taken in."""
    status = _STATUS.get(error.code, 400)
    return ApiError(status, str(error), param=param, code=error.code, retry_sec=5 if status == 503 else None)


def unexpected(error: BaseException) -> ApiError:
    """A fault of ours: the log has the trace, the client does not."""
    log.error("a request failed", exc_info=error)
    return ApiError(500, "internal error; the server's log says more", code="internal_error")


async def answer_error(_: Request, error: Exception) -> JSONResponse:
    """For Starlette: any exception of a route."""
    if isinstance(error, ApiError):
        return error.response
    if isinstance(error, HTTPException):
        message = _SAFE.get(error.status_code, "bad request")
        return ApiError(error.status_code, message, code=_CODES.get(error.status_code)).response
    for kind, (param, code) in _FOR_CLIENTS.items():
        if isinstance(error, kind):
            return invalid(param, str(error), code).response
    return unexpected(error).response
