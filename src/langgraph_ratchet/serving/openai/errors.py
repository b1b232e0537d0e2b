"""Errors as OpenAI says them: `{"error": {"message", "type", "param", "code"}}` with the status that clients act on.

The policy: what the client can mend is a 4xx that says how; what will pass is a 429 or 503 with `Retry-After`; what the
operator must mend is a 503 without; a 500 is a bug of ours, whose text stays in the log.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from langgraph_ratchet.core.errors import (
    BadInputError,
    GenerationError,
    OverloadedError,
    RatchetError,
    ToolCallingError,
)

_log = logging.getLogger(__name__)

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
_CODES = {401: "invalid_api_key", 404: "not_found", 405: "method_not_allowed", 429: "rate_limit_exceeded"}
_SOON = {"Retry-After": "1"}


class RequestError(Exception):
    """A request that cannot be answered, with all that the client is told.

    Args:
        status: of the response.
        message: what is wrong, and what was wanted.
        param: the body's field that is wrong, as a path such as `messages[0].role`.
        code: what is wrong, for programs.
        headers: further headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.headers = status, param, headers
        self.code = code if code is not None else _CODES.get(status)

    @property
    def body(self) -> dict[str, Any]:
        """The response's body."""
        type_ = _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": type_, "param": self.param, "code": self.code}}

    @property
    def response(self) -> Response:
        """The whole response."""
        headers = dict(self.headers) if self.headers else None
        return Response(orjson.dumps(self.body), self.status, headers, media_type="application/json")


def bad_request(message: str, param: str | None = None, code: str = "invalid_value") -> RequestError:
    """A 400: the client's request is wrong."""
    return RequestError(400, message, param=param, code=code)


def error_response(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response in the shape of OpenAI's errors; its type, and its code unless one is given, follow the status."""
    return RequestError(status, message, param=param, code=code, headers=headers).response


def request_error(error: Exception) -> RequestError:
    """What a client is told when `error` was raised on the way to its answer."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, (BadInputError, ToolCallingError)):
        return bad_request(str(error))
    if isinstance(error, OverloadedError):
        return RequestError(429, str(error), headers=_SOON)
    if isinstance(error, GenerationError):
        return RequestError(503, str(error), code="generation_failed", headers=_SOON)
    if isinstance(error, RatchetError):  # an adapter is damaged, an extra is missing: the operator's to mend
        _log.error("a request could not be answered: %s", error)
        return RequestError(503, str(error), code="model_unavailable")
    _log.error("a request failed", exc_info=error)
    return RequestError(500, "the server failed to answer, which is its fault; its log says why", code="internal_error")


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, headers=error.headers)


async def _on_any(_request: Request, error: Exception) -> Response:
    return request_error(error).response


ERROR_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: _on_http_exception,
    RequestError: _on_any,
    RatchetError: _on_any,
    Exception: _on_any,
}
"""For Starlette: the shape of every error, those of routing included."""
