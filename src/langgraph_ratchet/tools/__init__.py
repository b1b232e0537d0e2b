"""Tools, one file each: `tools/<name>.py` with a function `<name>_tool()` that makes the tool.

Other packages offer tools as entry points in the group `langgraph_ratchet.tools`: the same function, under the tool's
name. `get_tools` imports a tool when it is asked for, so that a tool's dependencies cost nothing before.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from langchain_core.tools import BaseTool

from langgraph_ratchet.core.errors import MissingExtraError
from langgraph_ratchet.core.plugins import Kind
from langgraph_ratchet.tools.spec import spec_of

__all__ = ["TOOLS", "get_tools", "tool_names"]

_DEFAULT = ("calculator", "clock", "documents", "logic")


def _made(name: str, function: Any) -> BaseTool:
    tool = function()
    if not isinstance(tool, BaseTool):
        raise TypeError(f"{function!r} gave a {type(tool).__name__}")
    if tool.name != name:
        raise ValueError(f"the tool calls itself {tool.name!r}")
    spec_of(tool)
    return tool


TOOLS = Kind(
    noun="tool",
    folder=__name__,
    group="langgraph_ratchet.tools",
    attribute="{name}_tool",
    wanted="a function without arguments that makes a LangChain tool of that name",
    accept=_made,
    aside=frozenset({"conformance", "runner", "spec"}),
)
"""Where tools are found."""


def tool_names() -> tuple[str, ...]:
    """Names of all tools, the built-in ones and those of other packages, sorted."""
    return TOOLS.names()


def get_tools(*names: str) -> list[BaseTool]:
    """The tools with these names, in this order; without names those that need neither key nor network.

    Without names, a tool whose extra is not installed is left out; by name it is an error.

    Raises:
        UnknownNameError: a name is not that of a tool; the message lists those there are.
        PluginError: a tool of another package cannot be used.
        MissingExtraError: a tool needs an extra that is not installed; the message names it.
    """
    if not names:
        return list(_installed())
    for name in names:
        TOOLS.check(name)
    return [TOOLS.load(name) for name in names]


def _installed() -> Iterator[BaseTool]:
    for name in _DEFAULT:
        with suppress(MissingExtraError):
            yield TOOLS.load(name)
