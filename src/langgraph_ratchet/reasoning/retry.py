"""Which errors of a chat model are worth another try, and how often.

LangGraph's default tries again after a refused key and after running out of memory, and not after a timeout or a
`429`. Here a node that asks the model is run again when the other side was unreachable, too slow or too busy, and for
nothing else: the same request would fail in the same way. Nodes that call tools are never run again, since a tool may
have acted; nor are those of the improvement graph, which go on where they were when the run is resumed.
"""

from collections.abc import Iterator

from langgraph.types import RetryPolicy

from langgraph_ratchet.core.errors import OverloadedError

_PASSING = frozenset(
    {
        ("httpx", "TimeoutException"),
        ("httpx", "NetworkError"),
        ("httpx", "RemoteProtocolError"),
        ("requests", "Timeout"),
        ("requests", "ConnectionError"),
        ("requests", "ChunkedEncodingError"),
        ("aiohttp", "ClientConnectionError"),
        ("aiohttp", "ClientPayloadError"),
        ("openai", "APIConnectionError"),
        ("anthropic", "APIConnectionError"),
    }
)
"""Errors of clients, by library and name of the class or a base of it: none of these libraries has to be installed."""
_LASTING = frozenset({("requests", "SSLError"), ("requests", "ProxyError"), ("aiohttp", "ClientSSLError")})
_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP statuses that say "not now"; 409 is a lock that was not got in time, 529 that the server is overloaded."""


def is_passing(error: BaseException) -> bool:
    """Whether a request that failed with `error` may succeed when it is made again."""
    for each in _chain(error):
        kinds = {(kind.__module__.split(".")[0], kind.__name__) for kind in type(each).__mro__}
        if kinds & _LASTING:
            return False
        if (status := _status(each)) is not None:
            return status in _STATUSES
        if isinstance(each, (TimeoutError, ConnectionError, OverloadedError)) or kinds & _PASSING:
            return True
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what it was raised from on purpose: integrations wrap the errors of their clients."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error of any client carries."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            if isinstance(status := getattr(holder, name, None), int):
                return status
    return None


RETRIED = frozenset({"plan", "select_strategy", "act", "synthesize", "self_check"})
"""The nodes that ask the model, and do nothing else that can be seen outside."""

RETRY = RetryPolicy(max_attempts=3, initial_interval=0.5, backoff_factor=2.0, jitter=True, retry_on=is_passing)
"""The waits are at most 1.5 s and 2 s; a run's budget of seconds counts them."""


def is_retried(node: str, error: Exception, attempt: int) -> bool:
    """Whether LangGraph will run `node` again after this attempt, counted from 1, has ended with `error`."""
    return node in RETRIED and attempt < RETRY.max_attempts and is_passing(error)
