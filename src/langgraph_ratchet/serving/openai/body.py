"""A request's body: read within limits, and parsed as strictly as JSON is defined."""

import asyncio
import json
from collections import Counter
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.openai.errors import RequestError, bad_request

_DEPTH = 64
"""Objects and lists within one another; code that walks a body may then recurse."""


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        RequestError: 413 for one that is larger than `limits.body_bytes`, 408 for one that does not come to its end
            within `limits.body_seconds`.
        ClientDisconnect: the client has gone.
    """
    too_large = RequestError(
        413,
        f"the request's body is larger than {limits.body_bytes:,} bytes: send less",
        code="request_too_large",
        headers={"Connection": "close"},
    )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limits.body_bytes:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise RequestError(
            408,
            f"the request's body did not come to its end within {limits.body_seconds:g} s",
            code="request_timeout",
            headers={"Connection": "close"},
        ) from None
    return b"".join(parts)


async def read_object(request: Request, limits: Limits) -> dict[str, Any]:
    """The body as a JSON object; every name in it stands there once, and it is at most 64 levels deep.

    Raises:
        RequestError: 415 for another media type, 400 for what is not such an object, and as `read_body`.
        ClientDisconnect: the client has gone.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # Not only for clarity: a page in a browser can post any other type to this machine without being asked.
        said = f"{media_type!r}" if media_type else "none"
        raise RequestError(415, f"the content type is {said}: send application/json", code="unsupported_content_type")
    value = parse_json(await read_body(request, limits))
    if not isinstance(value, dict):
        raise bad_request(f"the body is a JSON {_name(value)}: send an object", code="invalid_type")
    return value


def parse_json(body: bytes) -> Any:
    """The value that `body` stands for.

    Raises:
        RequestError: 400: it is not JSON in UTF-8 without a byte order mark, a string has a lone surrogate, a number
            is beyond a double, a name stands in an object twice, or it is more than 64 levels deep.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not valid JSON: {error}", code="invalid_json") from None
    if body.count(b"{") + body.count(b"[") > _DEPTH and _deeper(value, _DEPTH):
        raise bad_request(f"the body is more than {_DEPTH} levels deep", code="invalid_json")
    if body.count(b":") > 1:
        # orjson takes the last of two and would not say so. The numbers are not needed, and may have 5,000 digits.
        json.loads(body, object_pairs_hook=_unique, parse_int=len, parse_float=len)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise bad_request(f"the name {twice!r} stands in one object twice", code="invalid_json")
    return found


def _deeper(value: Any, depth: int) -> bool:
    """Whether `value` has more than `depth` levels; level by level, since recursion is what this guards against."""
    level = [value]
    for _ in range(depth):
        within = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (dict, list)))
        level = [item for items in within for item in items]
        if not level:
            return False
    return any(isinstance(item, (dict, list)) for item in level)


def _name(value: Any) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


__all__ = ["ClientDisconnect", "parse_json", "read_body", "read_object"]
