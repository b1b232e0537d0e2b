"""Tools, one file each: `tools/<name>.py` with a function `<name>_tool()` that makes the tool.

`get_tools` imports a tool's file when the tool is asked for, so that a tool's dependencies cost nothing before.
"""

from importlib import import_module
from pkgutil import iter_modules

from langchain_core.tools import BaseTool

from langgraph_ratchet.core.errors import UnknownNameError

__all__ = ["get_tools", "tool_names"]

_DEFAULT = ("calculator", "clock", "documents")
_NOT_TOOLS = frozenset({"runner", "spec"})


def tool_names() -> tuple[str, ...]:
    """Names of all built-in tools, sorted."""
    return tuple(sorted({module.name for module in iter_modules(__path__)} - _NOT_TOOLS))


def get_tools(*names: str) -> list[BaseTool]:
    """The built-in tools with these names, in this order; without names those that need no key and no network.

    Raises:
        UnknownNameError: a name is not that of a tool; the message lists those there are.
    """
    known = tool_names()
    for name in names:
        if name not in known:
            raise UnknownNameError("tool", name, known)
    return [getattr(import_module(f"{__name__}.{name}"), f"{name}_tool")() for name in names or _DEFAULT]
