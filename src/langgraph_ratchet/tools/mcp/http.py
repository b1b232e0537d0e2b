"""A session's messages over streamable HTTP, by the SDK's transport on a client that keeps to addresses and sizes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx
from mcp.client.streamable_http import streamable_http_client

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.tools.mcp.budget import MESSAGE_BYTES, Budget
from langgraph_ratchet.tools.mcp.config import HttpServer
from langgraph_ratchet.tools.mcp.stdio import Incoming, Outgoing
from langgraph_ratchet.tools.web.addresses import is_public

_PRIVATE = tuple(
    ip_network(network) for network in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""Not link-local: there, a cloud machine's credentials are handed out."""
_MOST_RESUMED = 8
"""How often an answer that breaks off may be asked for again; the server says how soon."""
_FAREWELL_S = 2.0
"""For a server to be told that its session ends."""


@asynccontextmanager
async def http_messages(
    server: HttpServer, budget: Budget, over: Callable[[str], None]
) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Gives the two streams of a session; at the end the server is told, and the connections are closed.

    Args:
        server: where to connect to.
        budget: what it may send.
        over: told why no message can come any more.
    """
    transport = _Transport(server, budget, over)
    timeout = httpx.Timeout(server.ratchet.call_timeout_s)
    async with (
        httpx.AsyncClient(transport=transport, headers=dict(server.headers), timeout=timeout) as client,
        streamable_http_client(server.url, http_client=client) as (incoming, outgoing, _),
    ):
        yield incoming, outgoing


class _Transport(httpx.AsyncBaseTransport):
    """Looks the host up once for each request, and connects to one of the addresses that were checked.

    Proxies in the environment are not used: through one, it is the proxy that chooses the address.
    """

    def __init__(self, server: HttpServer, budget: Budget, over: Callable[[str], None]) -> None:
        self._server = server
        self._budget = budget
        self._over = over
        self._resumed = 0
        self._inner = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # The SDK would keep a second answer open for what a server says unasked, and open it again without end.
        if request.method == "GET" and "last-event-id" not in request.headers:
            return httpx.Response(405, request=request)
        self._resumed = self._resumed + 1 if request.method == "GET" else 0
        if self._resumed > _MOST_RESUMED:
            self._budget.exceeded(f"it broke its answer off more than {_MOST_RESUMED} times")
        if request.method == "DELETE":
            async with asyncio.timeout(_FAREWELL_S):
                return await self._sent(request)
        try:
            return await self._sent(request)
        except (httpx.TransportError, OSError, BadInputError) as error:
            self._over(f"no connection: {error or type(error).__name__}")
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        # Compressed, a few bytes could become many.
        request.headers["accept-encoding"] = "identity"
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=await self._address(host, request.url.port)),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        response = await self._inner.handle_async_request(pinned)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            self._budget.exceeded("it sent a compressed answer, which it was asked not to")
        if response.status_code >= 400 and request.method != "DELETE":
            self._over(f"it answered with status {response.status_code}{_advice(response.status_code)}")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        stream = _Capped(response.stream, self._budget)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, request=request)

    async def _address(self, host: str, port: int | None) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        # One among others is refused too: which one a server gets must not be left to chance.
        if not all(self._may_reach(ip_address(address)) for address in addresses):
            raise BadInputError(
                f"the host {host!r} is not on the public internet: a private network must be allowed in the "
                "configuration (ratchet.private_network), and loopback be named as 127.0.0.1, ::1 or localhost"
            )
        return addresses[0]

    def _may_reach(self, address: IPv4Address | IPv6Address) -> bool:
        if self._server.loopback:
            return address.is_loopback
        if is_public(address):
            return True
        return self._server.ratchet.private_network and any(address in network for network in _PRIVATE)


def _advice(status: int) -> str:
    return ": give its key in headers" if status in (401, 403) else ""


class _Capped(httpx.AsyncByteStream):
    """A body, or the events of one, each no longer than a message may be."""

    def __init__(self, inner: httpx.AsyncByteStream, budget: Budget) -> None:
        self._inner = inner
        self._budget = budget

    async def __aiter__(self) -> AsyncIterator[bytes]:
        since, last = 0, b""
        async for chunk in self._inner:
            self._budget.receive(len(chunk))
            end = _event_end(last + chunk)
            since = since + len(chunk) if end is None else len(last) + len(chunk) - end
            last = (last + chunk)[-3:]
            if since > MESSAGE_BYTES:
                self._budget.exceeded(f"it sent a message of more than {MESSAGE_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _event_end(text: bytes) -> int | None:
    """Where the last event that ends in `text` does; an empty line ends one. JSON has none, written as usual."""
    ends = [at + len(mark) for mark in (b"\n\n", b"\r\r", b"\r\n\r\n") if (at := text.rfind(mark)) >= 0]
    return max(ends, default=None)
