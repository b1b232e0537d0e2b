"""One session with a server, from its start to its end, kept by one task of the event loop that it lives on."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, TypeVar

import anyio
from mcp import ClientSession, McpError, types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from langgraph_ratchet.core.plugins import OURS
from langgraph_ratchet.core.visible import visible
from langgraph_ratchet.tools.mcp.budget import Budget
from langgraph_ratchet.tools.mcp.config import Server, StdioServer
from langgraph_ratchet.tools.mcp.http import http_messages
from langgraph_ratchet.tools.mcp.stdio import Incoming, Outgoing, stdio_messages

T = TypeVar("T")

_MOST_PAGES = 32
_MOST_UNREADABLE = 32
"""Lines that are no messages: some programs greet on their standard output."""
_PING_S = 1.0
_LONGEST_ID = 64
_NO_ANSWER = "it answered with what is no answer to the question"


class SessionError(Exception):
    """There is no answer; the message says why, as what the server did."""


class SessionOverError(SessionError):
    """The session has ended; the next call begins another."""


class LateError(SessionError):
    """There was no answer in time."""


class Session:
    """A session that is open, or was.

    Args:
        server: the one to speak to.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._budget = Budget(self.end)
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._client: ClientSession | None = None
        self._asked = False
        """Whether its end was asked for."""
        self._unreadable = 0
        self._doubted: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._keeper = asyncio.ensure_future(self._keep())

    async def is_usable(self) -> bool:
        """Whether a call can be made; known in a moment if the last one had no answer in time."""
        if self._doubted is not None:
            await asyncio.wait({self._doubted})
        return not self._over.done()

    async def open(self) -> None:
        """Waits until the server has introduced itself.

        Raises:
            SessionError: it has not, in its time.
        """
        seconds = self._server.ratchet.start_timeout_s
        await self._unless_over(self._opened.wait(), seconds, f"did not start within {seconds:g} seconds")

    async def tools(self) -> list[types.Tool]:
        """What the server lists, all pages.

        Raises:
            SessionError: it does not list them, or not in its time.
        """
        seconds = self._server.ratchet.list_timeout_s
        late = f"did not list its tools within {seconds:g} seconds"
        self._budget.renew()
        return await self._unless_over(self._pages(), seconds, late)

    async def call(self, tool: str, arguments: dict[str, Any], seconds: float) -> types.CallToolResult:
        """The result of one call, which may be that it failed.

        Raises:
            SessionError: there is none: the server died, refused, or was late.
            ValueError: the arguments cannot be sent.
        """
        assert self._client is not None
        self._budget.renew()
        params = types.CallToolRequestParams(name=tool, arguments=arguments)
        request = types.ClientRequest(types.CallToolRequest(params=params))
        params.model_dump(mode="json")  # the client would leave a stream open if it failed there
        late = f"gave no result within {self._server.ratchet.call_timeout_s:g} seconds"
        # Not the client's `call_tool`: it matches what comes with patterns that the server chose, in this process.
        try:
            return await self._unless_over(self._client.send_request(request, types.CallToolResult), seconds, late)
        except LateError:
            if self._doubted is None or self._doubted.done():
                self._doubted = asyncio.ensure_future(self._end_unless_alive())
            raise

    def end(self, why: str) -> None:
        """Ends the session soon, if it has not ended; whoever waits for an answer is told why."""
        if not self._over.done():
            self._over.set_result(why)

    async def close(self) -> None:
        """Ends the session and waits until nothing of it is left."""
        self._asked = not self._over.done()
        self.end("it was closed")
        await asyncio.wait({self._keeper})

    async def _keep(self) -> None:
        """Holds the transport and the client open. One task opens and closes them, as their cancel scopes want."""
        try:
            async with self._messages() as (incoming, outgoing), self._filtered(incoming, outgoing) as read:
                info = types.Implementation(name=OURS, version=version(OURS))
                async with ClientSession(read, outgoing, client_info=info) as client:
                    await self._introduced(client)
                    await asyncio.wait({self._over})
        except (Exception, asyncio.CancelledError) as error:  # a transport's group of tasks ends by cancelling
            self.end(_reason(error))
        finally:
            self.end("it ended")

    async def _introduced(self, client: ClientSession) -> None:
        greeting = asyncio.ensure_future(client.initialize())
        try:
            await asyncio.wait((greeting, self._over), return_when=asyncio.FIRST_COMPLETED)
            if greeting.done():
                greeting.result()
                self._client = client
                self._opened.set()
        finally:
            greeting.cancel()

    def _messages(self) -> AbstractAsyncContextManager[tuple[Incoming, Outgoing]]:
        if isinstance(self._server, StdioServer):
            return stdio_messages(self._server, self._budget, self.end, lambda: not self._asked)
        return http_messages(self._server, self._budget, self.end)

    @asynccontextmanager
    async def _filtered(self, incoming: Incoming, outgoing: Outgoing) -> AsyncIterator[Incoming]:
        """What the client gets to see: answers and pings, as they come, and nothing else.

        The SDK would log what it does not understand, in full, and take in what nobody has asked for.
        """
        into, filtered = anyio.create_memory_object_stream[SessionMessage | Exception](0)

        async def pass_on() -> None:
            with suppress(Exception):  # the session is over, or its streams are closed
                async for message in incoming:
                    await self._judge(message, into, outgoing)

        task = asyncio.ensure_future(pass_on())
        try:
            yield filtered
        finally:
            task.cancel()
            for stream in (incoming, into, filtered):  # the SDK leaves the first one to its client
                stream.close()

    async def _judge(self, message: SessionMessage | Exception, into: Any, outgoing: Outgoing) -> None:
        self._budget.message()
        if isinstance(message, Exception):
            self._unreadable += 1
            if self._unreadable > _MOST_UNREADABLE:
                self._budget.exceeded(f"it sends what is no message: {visible(str(message))[:100]}")
            return
        root = message.message.root
        if isinstance(root, types.JSONRPCNotification) or len(str(root.id)[: _LONGEST_ID + 1]) > _LONGEST_ID:
            return
        if isinstance(root, types.JSONRPCRequest) and root.method != "ping":
            refusal = types.ErrorData(code=types.METHOD_NOT_FOUND, message="not offered")
            answer = types.JSONRPCError(jsonrpc="2.0", id=root.id, error=refusal)
            await outgoing.send(SessionMessage(types.JSONRPCMessage(answer)))
            return
        await into.send(message)

    async def _pages(self) -> list[types.Tool]:
        assert self._client is not None
        listed: list[types.Tool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._client.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            listed += page.tools
            cursor = page.nextCursor
            if not cursor:
                return listed
        raise SessionError(f"lists its tools on more than {_MOST_PAGES} pages")

    async def _unless_over(self, work: Coroutine[Any, Any, T], seconds: float, late: str) -> T:
        """What `work` gives, unless the session or the time ends before."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._over), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self._over.done():
                raise SessionOverError(f"failed: {self._over.result()}")
            raise LateError(late + self._noise())
        except McpError as error:
            # The client's own word for a session that ended; a server may use the same number.
            if (error.error.code, error.error.message) == (types.CONNECTION_CLOSED, "Connection closed"):
                self.end("its connection was closed")
                raise SessionOverError(f"failed: {self._over.result()}") from None
            raise SessionError(f"answered with an error: {visible(error.error.message[:2000])}") from None
        except (ValidationError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self.end("its connection was closed" if not isinstance(error, ValidationError) else _NO_ANSWER)
            raise SessionOverError(f"failed: {self._over.result()}") from None
        finally:
            task.cancel()

    def _noise(self) -> str:
        return f"; it sent {self._unreadable} lines that are no messages" if self._unreadable else ""

    async def _end_unless_alive(self) -> None:
        """A server that does not even answer a ping is ended; one that does is only slow."""
        assert self._client is not None
        try:
            async with asyncio.timeout(_PING_S):
                await self._client.send_ping()
        except Exception:
            self.end("it hung")


def _reason(error: BaseException) -> str:
    """The first cause of an error, or of a group of them, in a few words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, asyncio.CancelledError):
        return "its connection was closed"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"it cannot be started: {error.strerror}"
    return visible(f"{type(error).__name__}: {error}")[:300]
