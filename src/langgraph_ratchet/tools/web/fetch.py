"""Gets what a URL names: redirects one by one, each checked as the first; never more than so many bytes, decoded."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpcore
import httpx
from langchain_core.tools import ToolException

from langgraph_ratchet.tools.web.addresses import Destinations
from langgraph_ratchet.tools.web.transport import Budget, guarded_pool

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_MOST_URL_CHARS = 2_000
_BEYOND_BODY_BYTES = 1_000_000
"""Received bytes that are not the body: heads, redirects, certificates."""
_FRAMING = 4
"""Received bytes per byte of a body, at most: a chunk of a chunked body has a head of its own."""
_NO_URL = re.compile(r"[\x00-\x20\x7f\\]")

_HEADERS = (
    ("User-Agent", "langgraph-ratchet"),
    ("Accept", "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.1"),
    ("Accept-Encoding", "gzip"),
    ("Connection", "close"),
)


@dataclass(frozen=True)
class Limits:
    """How much one fetch may take."""

    body_bytes: int = 2_000_000
    """Of a page, decompressed; the rest is not received."""
    seconds: float = 20.0
    """For all of it, redirects included."""


@dataclass(frozen=True)
class Response:
    """What a server sent."""

    url: str
    """Where it came from, after redirects."""
    content_type: str
    """As the server declared it; empty if it didn't."""
    body: bytes
    whole: bool
    """Whether `body` is all of it."""


def fetch(url: str, destinations: Destinations, limits: Limits) -> Response:
    """The response to a GET of `url`, which neither sends nor keeps cookies or credentials.

    Raises:
        ToolException: it is no URL of a page, leads where a fetch may not go, or the server gave no page.
    """
    budget = Budget(limits.seconds, _FRAMING * limits.body_bytes + _BEYOND_BODY_BYTES)
    target = _parsed(url)
    for _ in range(_MOST_REDIRECTS + 1):
        with _outcomes(target), guarded_pool(destinations, budget) as pool:
            request = httpcore.Request(
                "GET",
                httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path),
                headers=[("Host", target.netloc.decode("ascii")), *_HEADERS],
            )
            response = pool.handle_request(request)
            try:
                location = _header(response, b"location")
                if response.status not in _REDIRECTS or not location:
                    return _response(target, response, limits.body_bytes)
            finally:
                response.close()
        target = _parsed(location, target)
    raise ToolException(f"{url[:200]!r} leads to more than {_MOST_REDIRECTS} other pages, one after the other")


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """The URL that `text` is, relative to `base` if there is one."""
    text = text.strip()
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise ToolException(f"{text[:200]!r} is not a URL: {error}") from error
    if len(text) > _MOST_URL_CHARS or _NO_URL.search(text):
        wanted = f"at most {_MOST_URL_CHARS} characters, without spaces, control characters and backslashes"
        raise ToolException(f"{text[:200]!r} is not a URL of {wanted}")
    if url.scheme not in ("http", "https") or not url.host:
        raise ToolException(f"{text[:200]!r} is not the URL of a page: http://… or https://… with a host")
    if url.userinfo:
        # "https://bank.com@evil.com" looks like one host and is another.
        raise ToolException(f"the URL of the host {url.host[:100]!r} has a user name in it: leave out what is before @")
    return url


@contextmanager
def _outcomes(url: httpx.URL) -> Iterator[None]:
    """Turns what may go wrong on the network into an outcome of the call."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise ToolException(f"{url.host[:100]!r} did not answer in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise ToolException(f"{url.host[:100]!r} did not answer as a web server does: {error}") from error


def _header(response: httpcore.Response, name: bytes) -> str:
    values = (value for given, value in response.headers if given.lower() == name)
    return next(values, b"").decode("latin-1").strip()


def _response(url: httpx.URL, response: httpcore.Response, most: int) -> Response:
    if not 200 <= response.status < 300:
        known = response.status in HTTPStatus._value2member_map_
        phrase = f" ({HTTPStatus(response.status).phrase})" if known else ""
        raise ToolException(f"{url.host[:100]!r} answered with the status {response.status}{phrase}, not with a page")
    body, whole = _body(response, _header(response, b"content-encoding").lower(), most)
    return Response(str(url), _header(response, b"content-type")[:200], body, whole)


def _body(response: httpcore.Response, coding: str, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of the decoded body, and whether that is all of it."""
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise ToolException(f"the page is compressed as {coding[:40]!r}, only gzip was asked for")
    gzip = zlib.decompressobj(wbits=31) if "gzip" in coding else None
    body = bytearray()
    try:
        for chunk in response.iter_stream():
            # One byte more than is kept, to see that there is more; a bomb is never inflated further than that.
            body += gzip.decompress(chunk, most + 1 - len(body)) if gzip else chunk
            if len(body) > most:
                return bytes(body[:most]), False
            if gzip and gzip.eof:
                break
    except zlib.error as error:
        raise ToolException(f"the page says that it is compressed, and is not: {error}") from error
    except httpcore.RemoteProtocolError:
        if not body:
            raise
        return bytes(body), False  # the connection ended early; a page that is cut is better than none
    return bytes(body), not gzip or gzip.eof
