"""The servers of a configuration, started together, compared with what was pinned, and ended together."""

import asyncio
import logging
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool

from langgraph_ratchet.core.errors import BadInputError, MissingExtraError
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.tools.mcp.config import read_servers
from langgraph_ratchet.tools.mcp.offers import Offer
from langgraph_ratchet.tools.mcp.pins import Pins

if TYPE_CHECKING:
    from langgraph_ratchet.tools.mcp.server import Connection

Config = Path | Mapping[str, Any]

_LOG = logging.getLogger(__name__)


def mcp_tools(config: Config, *, pins: Path | None = None) -> list[BaseTool]:
    """The tools of the MCP servers that a configuration names, as `server__tool`; the servers are started.

    They end with this process, or when none of the tools is in use any more. To end them earlier, use `McpServers`.
    What a server offers when it is used for the first time is pinned, and said in the log; a server that offers
    something else later is refused.

    Args:
        config: a JSON file `{"mcpServers": {"name": {"command", "args", "env"} | {"url", "headers"}}}`, or what it
            would hold.
        pins: the file that says what was accepted; by default `mcp_pins.json` in the folder of the training data.

    Raises:
        BadInputError: the configuration cannot be used, a server cannot be started, or offers what was not accepted.
        MissingExtraError: the extra `mcp` is not installed.
    """
    return McpServers(config, pins=pins).tools


def pin_mcp_tools(config: Config, *, pins: Path | None = None) -> list[str]:
    """Accepts what the servers offer now, whatever was pinned before.

    Returns:
        A line for each difference from what was pinned, and for each server that was pinned for the first time.

    Raises:
        BadInputError: the configuration cannot be used, or a server cannot be started.
        MissingExtraError: the extra `mcp` is not installed.
    """
    servers = McpServers(config, pins=pins, accept=True)
    servers.close()
    return servers.said


class McpServers:
    """MCP servers that run, as a context manager: their tools, until `close`.

    Args:
        config: as for `mcp_tools`.
        pins: as for `mcp_tools`.
        accept: pin what they offer now instead of comparing it with what was pinned.

    Raises:
        BadInputError: as for `mcp_tools`; none of the servers is left running.
        MissingExtraError: the extra `mcp` is not installed.
    """

    tools: list[BaseTool]
    """Of all servers, in the order of the configuration and then of each server."""
    said: list[str]
    """What was pinned, what had changed, and what was left out and why; the log has it too."""

    def __init__(self, config: Config, *, pins: Path | None = None, accept: bool = False) -> None:
        servers = read_servers(config)
        try:
            from langgraph_ratchet.tools.mcp.loop import BACKGROUND
            from langgraph_ratchet.tools.mcp.server import Connection
        except ModuleNotFoundError as error:
            raise MissingExtraError("an MCP server's tools", "mcp") from error
        self.said = []
        self._pins = Pins(pins or Settings().training_data_path / "mcp_pins.json")
        self._background = BACKGROUND
        self._connections = [Connection(server) for server in servers]
        for connection in self._connections:
            BACKGROUND.keep(connection)
        # Not at the end of the process: that is the background's.
        weakref.finalize(self, _let_go, BACKGROUND, self._connections).atexit = False
        try:
            offered = self._offered()
            self._accept(offered, accept)
            self.tools = [tool for each in self._connections for tool in self._tools(each, offered[each.server.name])]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the servers, with all that they started; calls fail from now on."""
        self._background.submit(_close(self._connections)).result()

    def __enter__(self) -> "McpServers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _offered(self) -> dict[str, list[Offer]]:
        """What each server offers; they are started side by side."""
        found = self._background.submit(_offers(self._connections)).result()
        offered: dict[str, list[Offer]] = {}
        faults = []
        for connection, result in zip(self._connections, found, strict=True):
            name = connection.server.name
            if isinstance(result, BaseException):
                faults.append(str(result) if isinstance(result, BadInputError) else f"MCP server {name!r} {result}")
                continue
            offered[name], unfit = result
            for tool, why in unfit.items():
                self._say(f"MCP server {name!r}: tool {tool!r} is left out: {why}")
        if faults:
            raise BadInputError("; ".join(faults))
        return offered

    def _accept(self, offered: Mapping[str, list[Offer]], accept: bool) -> None:
        """Compares what is offered with what was pinned, and pins what is new here."""
        new: dict[str, list[Offer]] = {}
        refused: list[str] = []
        for name, offers in offered.items():
            changes = self._pins.changes(name, offers)
            if changes is None:
                listed = ", ".join(offer.name for offer in offers) or "none"
                self._say(f"MCP server {name!r} is new; its tools are pinned in {self._pins.path}: {listed}")
            lines = [f"MCP server {name!r}: {line}" for line in changes or ()]
            if not accept:
                refused += lines
            else:
                for line in lines:
                    self._say(line)
            if changes is None or accept:
                new[name] = offers
        if refused:
            raise BadInputError(
                f"what is offered is not what was accepted and pinned in {self._pins.path}: {'. '.join(refused)}. "
                "A server that changes what it says of itself may be up to something; if you want it as it is now, "
                "call langgraph_ratchet.tools.mcp.pin_mcp_tools"
            )
        if new:
            self._pins.pin(new)

    def _tools(self, connection: "Connection", offers: list[Offer]) -> list[BaseTool]:
        from langgraph_ratchet.tools.mcp.tool import mcp_tool

        server = connection.server
        known = {offer.name: offer.schema["properties"] for offer in offers}
        here = f"MCP server {server.name!r}"
        for name, rules in server.ratchet.tools.items():
            if name not in known:
                has = ", ".join(known) or "none"
                raise BadInputError(f"{here} has no tool {name!r}, which ratchet.tools names; it has: {has}")
            if unknown := sorted(rules.targets.difference(known[name])):
                takes = ", ".join(known[name]) or "no arguments"
                raise BadInputError(
                    f"{here}: its tool {name!r} has no argument {unknown[0]!r}, which targets names; it takes {takes}"
                )
        connection.accept(offers)
        # By a method of this object, so that it lives, and the servers with it, as long as one of the tools.
        return [mcp_tool(server, offer, partial(self._call, connection)) for offer in offers]

    async def _call(self, connection: "Connection", tool: str, arguments: dict[str, Any]) -> Any:
        return await connection.call(tool, arguments)

    def _say(self, line: str) -> None:
        self.said.append(line)
        _LOG.warning("%s", line)


async def _offers(connections: "Sequence[Connection]") -> list[tuple[list[Offer], dict[str, str]] | BaseException]:
    return await asyncio.gather(*(connection.offers() for connection in connections), return_exceptions=True)


async def _close(connections: "Sequence[Connection]") -> None:
    await asyncio.gather(*(connection.close() for connection in connections))


def _let_go(background: Any, connections: "Sequence[Connection]") -> None:
    background.submit(_close(connections))
