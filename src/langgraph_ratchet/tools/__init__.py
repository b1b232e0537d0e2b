"""Tools, one file each: `tools/<name>.py` with a function `<name>_tool()` that makes the tool.

Some belong together and have a name for all of them (`GROUPS`); those of MCP servers are named by the file that lists
the servers: `mcp:servers.json`. Other packages offer tools as entry points in the group `langgraph_ratchet.tools`: the
same function, under the tool's name. `get_tools` imports a tool when it is asked for, so that a tool's dependencies
cost nothing before.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool

from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, UnknownNameError
from langgraph_ratchet.core.plugins import Kind
from langgraph_ratchet.tools.spec import is_declared

if TYPE_CHECKING:  # its store is an extra
    from langgraph_ratchet.tools.memory import Memory

__all__ = ["GROUPS", "TOOLS", "get_tools", "memory_of", "tool_names"]

_DEFAULT = ("calculator", "clock", "documents", "logic")
_MCP = "mcp:"

GROUPS = {
    "web": ("web_search", "web_fetch"),
    "memory": ("remember", "recall"),
    "files": ("read_file", "write_file", "list_files"),
}
"""Names that stand for several tools."""


def _made(name: str, function: Any) -> BaseTool:
    tool = function()
    if not isinstance(tool, BaseTool):
        raise TypeError(f"{function!r} gave a {type(tool).__name__}")
    if tool.name != name:
        raise ValueError(f"the tool calls itself {tool.name!r}")
    if "ratchet" in (tool.metadata or {}) and not is_declared(tool):
        raise ValueError("its metadata['ratchet'] is not a tool spec: give it metadata=ToolSpec(...).metadata()")
    return tool


TOOLS = Kind(
    noun="tool",
    folder=__name__,
    group="langgraph_ratchet.tools",
    attribute="{name}_tool",
    wanted="a function without arguments that makes a LangChain tool of that name",
    accept=_made,
    aside=frozenset({"conformance", "files", "mcp", "memory", "replay", "runner", "spec", "web"}),
)
"""Where tools are found."""


def tool_names() -> tuple[str, ...]:
    """Names of all tools, the built-in ones and those of other packages, sorted."""
    return TOOLS.names()


def get_tools(*names: str) -> list[BaseTool]:
    """The tools with these names, in this order; without names those that need neither key nor network.

    Without names, a tool whose extra is not installed is left out; by name it is an error. A tool that is named twice
    (by itself and in a group) is given once.

    Args:
        names: of tools, of `GROUPS`, or `mcp:FILE`: the tools of the servers that this file lists, which are started.

    Raises:
        UnknownNameError: a name is not that of a tool; the message lists those there are.
        PluginError: a tool of another package cannot be used.
        MissingExtraError: a tool needs an extra that is not installed; the message names it.
        BadInputError: a file of MCP servers cannot be used.
    """
    if not names:
        return list(_installed())
    listed = list(dict.fromkeys(member for name in names for member in GROUPS.get(name, (name,))))
    for name in listed:
        _check(name)  # all of them, before the first is made: making one may start a server
    return [tool for name in listed for tool in _called(name)]


def _check(name: str) -> None:
    if name == _MCP:
        raise BadInputError("mcp: names no file: give mcp:FILE, the file that lists the MCP servers")
    if name.startswith(_MCP):
        return
    if name not in tool_names():
        raise UnknownNameError("tool", name, [*tool_names(), *GROUPS, f"{_MCP}FILE"])
    TOOLS.check(name)


def _called(name: str) -> list[BaseTool]:
    if not name.startswith(_MCP):
        return [TOOLS.load(name)]
    from langgraph_ratchet.tools.mcp import mcp_tools

    return mcp_tools(Path(name.removeprefix(_MCP)))


def memory_of(tools: Iterable[BaseTool]) -> "Memory | None":
    """The memory of the settings if one of these tools works on it, for a run to begin with what it holds.

    It is opened when it is first asked: a folder that cannot be opened costs a run its memory, and nothing else.

    Raises:
        MissingExtraError: the extra `memory` is not installed.
        BadInputError: the embedding in the settings cannot be made.
    """
    if not {tool.name for tool in tools} & set(GROUPS["memory"]):
        return None
    from langgraph_ratchet.tools.memory import settings_memory

    return settings_memory()


def _installed() -> Iterator[BaseTool]:
    for name in _DEFAULT:
        with suppress(MissingExtraError):
            yield TOOLS.load(name)
