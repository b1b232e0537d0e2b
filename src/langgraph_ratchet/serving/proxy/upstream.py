"""The server behind the proxy: where it is, what is sent to it, and what of its answers goes back."""

import re
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

import httpx

from langgraph_ratchet.core.errors import BadInputError

_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer trailers transfer-encoding upgrade".split()
)
_NOT_SENT = _HOP_BY_HOP | {"host", "content-length", "accept-encoding", "expect", "x-ratchet-run"}
_NOT_RETURNED = _HOP_BY_HOP | {"content-length", "content-encoding", "date", "server"}
_TIMEOUT = httpx.Timeout(connect=10, read=600, write=60, pool=10)
"""Seconds; a model may think for minutes before its first token."""


class Upstream:
    """An OpenAI-compatible server.

    Args:
        url: its address, with or without `/v1`.
        key: sent instead of what clients send; `None` passes theirs on, if `pass_keys`.
        pass_keys: whether clients' `Authorization` goes on. Not where it is this server's own key.

    Raises:
        BadInputError: `url` is not an address.
    """

    def __init__(self, url: str, *, key: str | None = None, pass_keys: bool = True) -> None:
        if not re.fullmatch(r"https?://[^\s?#]+", url):
            raise BadInputError(f"{url!r} is no address of a server: give one such as http://127.0.0.1:8000")
        self.url = url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._pass_keys = pass_keys
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, limits=httpx.Limits(max_connections=None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def send(
        self, method: str, path: str, *, headers: Iterable[tuple[str, str]] = (), query: str = "", body: bytes = b""
    ) -> httpx.Response:
        """The answer's head; its body is read, and the answer closed, by the caller.

        Args:
            method: of the request.
            path: from `/v1` on, as it stands in the request.
            headers: the client's; those that belong to its connection are left out.
            query: what follows `?`.
            body: as bytes.

        Raises:
            httpx.TransportError: the server was not reached, or broke off.
        """
        sent = [(name, value) for name, value in headers if self._goes_on(name.lower())]
        if self._key is not None:
            sent.append(("authorization", f"Bearer {self._key}"))
        url = httpx.URL(self.url + path, query=query.encode() or None)
        identity = [*sent, ("accept-encoding", "identity")]  # so that bytes are passed on as they come
        request = self._client.build_request(method, url, headers=identity, content=body)
        return await self._client.send(request, stream=True)

    def _goes_on(self, name: str) -> bool:
        if name == "authorization":
            return self._pass_keys and self._key is None
        return name not in _NOT_SENT


def returned_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of an answer's headers that go back to the client."""
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_RETURNED}
