"""Connections of a fetch: to checked addresses only, until a deadline, and for so many bytes.

The guard sits where sockets are opened (`httpcore`'s network backend), so nothing above it can go round it: the name
is looked up once, every address is checked, and the socket goes to one of the addresses that were checked.
"""

import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import httpcore
import httpx
from langchain_core.tools import ToolException

from langgraph_ratchet.tools.web.addresses import Destinations

_CONNECT_TIMEOUT_S = 5.0
"""For one address; another may answer when this one doesn't."""


class Budget:
    """What one fetch may still use, over all its redirects.

    Args:
        seconds: time from now.
        wire_bytes: bytes that may be received, heads and compressed bodies included.
    """

    def __init__(self, seconds: float, wire_bytes: int) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._wire_bytes = self._bytes_left = wire_bytes

    def seconds_left(self) -> float:
        """Seconds until the deadline.

        Raises:
            ToolException: there are none left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise ToolException(f"the page was not there after {self._seconds:g} seconds")
        return left

    def receive(self, count: int) -> None:
        """Takes `count` received bytes off.

        Raises:
            ToolException: there were not that many left.
        """
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise ToolException(f"the server sent more than {self._wire_bytes} bytes")


class _Stream(httpcore.NetworkStream):
    """A connection that keeps to a budget. The limits that the caller of a method gives are longer, if any."""

    def __init__(self, inner: httpcore.NetworkStream, budget: Budget) -> None:
        self._inner = inner
        self._budget = budget

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._inner.read(max_bytes, self._budget.seconds_left())
        self._budget.receive(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._budget.seconds_left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._budget.seconds_left()), self._budget)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _GuardedBackend(httpcore.NetworkBackend):
    def __init__(self, destinations: Destinations, budget: Budget) -> None:
        self._destinations = destinations
        self._budget = budget
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        refused: Exception | None = None
        for address in self._destinations.addresses(host, port):
            seconds = min(_CONNECT_TIMEOUT_S, self._budget.seconds_left())
            try:
                return _Stream(self._tcp.connect_tcp(address, port, seconds), self._budget)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
        raise ToolException(f"no connection to {host[:100]!r}: {refused}") from refused

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        raise ToolException("a fetch opens no local socket")


def guarded_pool(destinations: Destinations, budget: Budget) -> httpcore.ConnectionPool:
    """Connections to where `destinations` allows, which together keep to `budget`. Use it as a context manager.

    Proxies in the environment are not used: through one, it is the proxy that chooses the address.
    """
    backend = _GuardedBackend(destinations, budget)
    return httpcore.ConnectionPool(_certificates(), max_keepalive_connections=0, network_backend=backend)


@cache
def _certificates() -> Any:
    """The authorities that are trusted: certifi's, or those that `SSL_CERT_FILE` or `SSL_CERT_DIR` names."""
    return httpx.create_ssl_context()
