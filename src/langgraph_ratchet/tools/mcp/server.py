"""A server as its tools use it: a session that is there when a call needs one, and anew after it ended."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from langchain_core.tools import ToolException
from mcp import types

from langgraph_ratchet.core.ids import clean_json
from langgraph_ratchet.tools.mcp.config import Server
from langgraph_ratchet.tools.mcp.offers import Offer, offers
from langgraph_ratchet.tools.mcp.session import Session, SessionError, SessionOverError


class Connection:
    """The way to one server. All of it runs on the background loop.

    Args:
        server: where, and with which limits.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._session: Session | None = None
        self._accepted: Mapping[str, str] | None = None
        """Hashes of the tools that were accepted, by name."""
        self._turn = asyncio.Lock()
        self._process = os.getpid()
        self._closed = False

    async def offers(self) -> tuple[list[Offer], dict[str, str]]:
        """What the server offers now, and why some of its tools cannot be shown.

        Raises:
            SessionError: it cannot be started, or does not list its tools.
            BadInputError: what it lists cannot be used.
        """
        return await _offers(self.server, await self._open())

    def accept(self, offered: list[Offer]) -> None:
        """From now on a new session must offer these tools as they are."""
        self._accepted = {offer.name: offer.hash for offer in offered}

    async def call(self, tool: str, arguments: dict[str, Any]) -> types.CallToolResult:
        """The result of a call, within the server's time for one. A call that may have begun is not made again.

        Raises:
            ToolException: there is none; the message says why.
        """
        name, seconds = self.server.name, self.server.ratchet.call_timeout_s
        end = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(end):
                session = await self._open()
            return await session.call(tool, clean_json(arguments), end - asyncio.get_running_loop().time())
        except TimeoutError:
            raise ToolException(f"MCP server {name!r} could not be started again within {seconds:g} seconds") from None
        except SessionOverError as error:
            raise ToolException(f"MCP server {name!r} {error}; the next call starts it anew") from None
        except SessionError as error:
            raise ToolException(f"MCP server {name!r} {error}") from None
        except (ValueError, TypeError, RecursionError) as error:
            raise ToolException(f"these arguments cannot be sent to MCP server {name!r}: {error}") from None

    async def close(self) -> None:
        """Ends the session; there is none any more."""
        self._closed = True
        if self._session is not None and self._process == os.getpid():
            await self._session.close()

    async def _open(self) -> Session:
        """The session there is, or a new one that offers what was accepted."""
        if self._process != os.getpid():  # after a fork the session is the parent's
            self._process, self._session, self._turn = os.getpid(), None, asyncio.Lock()
        async with self._turn:
            if self._closed:
                raise SessionError("was closed")
            if self._session is not None and await self._session.is_usable():
                return self._session
            if self._session is not None:
                await self._session.close()
            self._session = session = Session(self.server)
            try:
                await session.open()
                await self._check(session)
            except BaseException as error:
                session.end(f"it could not be used: {error}")
                await session.close()
                raise
            return session

    async def _check(self, session: Session) -> None:
        if self._accepted is None:
            return
        offered, _ = await _offers(self.server, session)
        now = {offer.name: offer.hash for offer in offered}
        changed = [name for name, digest in now.items() if self._accepted.get(name) != digest]
        if changed:
            raise SessionError(
                f"was started anew and no longer offers what was accepted: {', '.join(changed[:5])} changed; "
                "see what it offers, and pin it again if you want it"
            )


async def _offers(server: Server, session: Session) -> tuple[list[Offer], dict[str, str]]:
    listed = await session.tools()
    return offers(server.name, [(tool.name, tool.description, tool.inputSchema) for tool in listed])
