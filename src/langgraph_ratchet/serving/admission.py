"""What is let in, and how much of it: bodies within their limits, and no more requests at once than there are places.

A request's body is read whole before it takes a place, so that a slow sender holds up nobody.
"""

import asyncio
from collections.abc import Collection

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langgraph_ratchet.serving.drain import Drain
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.openai.body import read_body
from langgraph_ratchet.serving.openai.errors import RequestError, error_response

_SOON = {"Retry-After": "1"}


class Admission:
    """Reads a request's body, gives it a place, and passes it on.

    Args:
        app: what is behind it.
        limits: see there.
        drain: where running requests are counted; when it has begun, new ones are answered 503.
        open_paths: paths that are always answered, also while the server drains.
        held_paths: paths at which a GET lasts as long as its client is connected: it takes no place, and the drain
            does not wait for it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        drain: Drain,
        open_paths: Collection[str],
        held_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._limits = limits
        self._drain = drain
        self._open_paths = frozenset(open_paths)
        self._held_paths = frozenset(held_paths)
        self._places = asyncio.Semaphore(limits.running)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what is let in."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        try:
            self._check_seats()
            if scope["method"] == "GET" and scope["path"] in self._held_paths:
                await self._app(scope, receive, send)
                return
            with self._drain:
                receive = await self._admitted(scope, receive)
                try:
                    await self._app(scope, receive, send)
                finally:
                    self._leave(scope)
        except RequestError as refused:
            # Without its own headers: to close now would cut off a client that still sends, before it has read this.
            headers = _SOON if refused.status in (429, 503) else None
            response = error_response(refused.status, str(refused), code=refused.code, headers=headers)
            await response(scope, receive, send)
        except ClientDisconnect:
            pass

    def _check_seats(self) -> None:
        if self._drain.begun:
            raise RequestError(503, "the server is about to stop: ask another one", code="draining")
        if self._drain.running >= self._limits.running + self._limits.waiting:
            raise _full(f"{self._drain.running} requests run or wait, which is as many as may")

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        """Waits for body and place; gives what the application reads the body from."""
        if scope["method"] != "POST":  # nothing else here has a body or takes long
            return receive
        body = await read_body(Request(scope, receive), self._limits)
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise _full(f"no place was free for {self._limits.wait_seconds:g} s") from None
        return _replayed(body, receive)

    def _leave(self, scope: Scope) -> None:
        if scope["method"] == "POST":
            self._places.release()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, and then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _full(reason: str) -> RequestError:
    return RequestError(429, f"the server is busy: {reason}; try again later", code="overloaded")
