"""The end of a server: nothing new is taken, and what runs comes to its end."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.surroundings import Surroundings


class Stream:
    """A stream that ends when it is told to."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    async def answer(self, _request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first "
            while not self.may_end.is_set():  # noqa: ASYNC110  # set from another thread
                await asyncio.sleep(0.005)
            yield b"last"

        return StreamingResponse(pieces())


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def server(run: Callable[..., Any], stream: Stream, request: pytest.FixtureRequest) -> Any:
    surroundings = Surroundings(limits=Limits(drain_seconds=getattr(request, "param", 20.0)))
    routes = [Route("/stream", stream.answer, methods=["POST"]), *surroundings.routes()]
    return run(Starlette(routes=routes, middleware=surroundings.middleware()), surroundings)


def _draining(server: Any) -> httpx.Response:
    """The answer for readiness, once the drain has begun."""
    deadline = time.monotonic() + 5
    while (ready := server.http.get("/ready")).status_code == 200:
        assert time.monotonic() < deadline
    return ready


def test_a_stream_that_runs_ends_whole_and_nothing_new_is_taken(server: Any, stream: Stream) -> None:
    assert server.http.get("/ready").json() == {"status": "ready"}
    with server.http.stream("POST", "/stream") as response:
        pieces = response.iter_bytes()
        assert next(pieces) == b"first "
        server.server.stop()
        ready = _draining(server)
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        assert server.http.get("/health").status_code == 200
        refused = server.http.post("/stream")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "draining"
        assert refused.headers["retry-after"] == "1"
        assert server.is_running()
        stream.may_end.set()
        assert b"".join(pieces) == b"last"
    server.join()
    assert server.all_ended is True


def test_with_nothing_running_it_ends_at_once(server: Any) -> None:
    server.server.stop()
    server.join()
    assert server.all_ended is True
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")


@pytest.mark.parametrize("server", [0.3], indirect=True)
def test_what_does_not_end_in_time_is_cut_off(server: Any) -> None:
    with server.http.stream("POST", "/stream") as response:
        pieces = response.iter_bytes()
        assert next(pieces) == b"first "
        server.server.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            next(pieces)
    server.join()
    assert server.all_ended is False


def test_a_second_stop_does_not_wait(server: Any) -> None:
    with server.http.stream("POST", "/stream") as response:
        pieces = response.iter_bytes()
        assert next(pieces) == b"first "
        server.server.stop()
        _draining(server)
        server.server.stop()
        server.join()
    assert server.all_ended is False
