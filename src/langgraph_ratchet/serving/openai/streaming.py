"""Answers over time: a stream of events to a reader, and an answer at once to a client that may hang up meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.metrics import observation
from langgraph_ratchet.serving.openai.errors import RequestError, request_error
from langgraph_ratchet.serving.openai.responses import Body, dumps

T = TypeVar("T")

_HEARTBEAT_SECONDS = 15.0
"""Longest silence in a stream: proxies cut a connection on which nothing comes for a minute."""
_WAITING = 16
"""Chunks that the choices of one stream may be ahead of their reader."""
_CLIENT_GONE = 499
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


async def answered(receive: Receive, limits: Limits, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away or it takes too long.

    Raises:
        RequestError: 503 when it took too long; 499, which nobody is left to read, when the client has gone.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((task, watch), timeout=limits.answer_seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise RequestError(_CLIENT_GONE, "the client has gone") if watch.done() else _too_slow(limits)
    finally:
        await _end(task, watch)


class EventStream(Response):
    """Server-sent events; no more of them than the reader takes are asked for.

    The status is sent with the first event, so that what fails before it has the status of its error. What fails later
    is an event with the error, and the last one. When the reader goes away, or takes nothing for `write_seconds`, the
    events' generator is closed at once.
    """

    def __init__(self, events: AsyncGenerator[Body, None], limits: Limits) -> None:
        super().__init__()
        self._events = events
        self._limits = limits
        self._heartbeat_seconds = _HEARTBEAT_SECONDS
        self._begun = False
        self._idle_since = 0.0
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events, until they or the client's patience end."""
        self._send = send
        pump = asyncio.ensure_future(self._pump())
        watch = asyncio.ensure_future(_gone(receive))
        beat = asyncio.ensure_future(self._beat())
        try:
            tasks = (pump, watch, beat)
            await asyncio.wait(tasks, timeout=self._limits.answer_seconds, return_when=asyncio.FIRST_COMPLETED)
            late = not any(task.done() for task in tasks)
        finally:
            await _end(pump, watch, beat)
        if late:
            await self._fail(_too_slow(self._limits), scope, receive)
            return
        error = None if pump.cancelled() else pump.exception()
        if isinstance(error, Exception) and not isinstance(error, _NotRead):
            await self._fail(error, scope, receive)

    async def _pump(self) -> None:
        self._idle_since = asyncio.get_running_loop().time()
        try:
            async for event in self._events:
                observation().first_token()
                await self._write(b"data: " + dumps(event) + b"\n\n")
        finally:
            await self._events.aclose()
        await self._write(b"data: [DONE]\n\n", last=True)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._idle_since + self._heartbeat_seconds - loop.time())
            if loop.time() >= self._idle_since + self._heartbeat_seconds:
                await self._write(b": still here\n\n")

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        async with self._lock:
            try:
                async with asyncio.timeout(self._limits.write_seconds):
                    if not self._begun:
                        self._begun = True
                        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                    await self._send({"type": "http.response.body", "body": data, "more_body": not last})
            except TimeoutError:
                raise _NotRead from None
            self._idle_since = asyncio.get_running_loop().time()

    async def _fail(self, error: Exception, scope: Scope, receive: Receive) -> None:
        told = request_error(error)
        if self._begun:
            await self._write(b"data: " + dumps(told.body) + b"\n\n", last=True)
        else:
            await told.response(scope, receive, self._send)


async def merged(streams: Sequence[AsyncIterator[T]]) -> AsyncGenerator[tuple[int, T | None], None]:
    """Items of all streams as they come, with their stream's index; `None` when that stream has ended."""
    if len(streams) == 1:
        async for item in streams[0]:
            yield 0, item
        yield 0, None
        return
    queue: asyncio.Queue[tuple[int, T | None] | Exception] = asyncio.Queue(_WAITING)

    async def read(index: int) -> None:
        try:
            async for item in streams[index]:
                await queue.put((index, item))
            await queue.put((index, None))
        except Exception as error:
            await queue.put(error)

    readers = [asyncio.ensure_future(read(index)) for index in range(len(streams))]
    try:
        running = len(streams)
        while running:
            came = await queue.get()
            if isinstance(came, Exception):
                raise came
            running -= came[1] is None
            yield came
    finally:
        await _end(*readers)


class _NotRead(Exception):
    """The client is there and does not read."""


async def _gone(receive: Receive) -> None:
    """Returns when the client has gone. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancels what still runs, and waits until it has cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _too_slow(limits: Limits) -> RequestError:
    return RequestError(503, f"the answer took longer than {limits.answer_seconds:g} s", code="timeout")
