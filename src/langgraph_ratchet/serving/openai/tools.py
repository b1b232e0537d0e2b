"""A request's tools, and which of them it wants called, as keyword arguments for a chat model."""

from typing import Any

from langgraph_ratchet.serving.openai.chat_request import ChatRequest
from langgraph_ratchet.serving.openai.errors import bad_request

_CHOICES = ("none", "auto", "required")


def tool_arguments(asked: ChatRequest) -> dict[str, Any]:
    """`tools`, `tool_choice` and `parallel_tool_calls`; none of them when no tools are offered.

    Raises:
        RequestError: 400: the choice is none that OpenAI documents, or names a tool that is not offered.
    """
    tools = {tool.name: tool.as_json() for tool in asked.tools or ()}
    choice = asked.tool_choice
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        names, choice = _allowed(choice)
        for index, name in enumerate(names):
            _require(name in tools, f"the tool {name!r} is not offered", f"tool_choice.allowed_tools.tools[{index}]")
        tools = {name: tool for name, tool in tools.items() if name in names}
    elif isinstance(choice, dict):
        name = _function_name(choice, "tool_choice")
        _require(name in tools, f"the tool {name!r} is not offered", "tool_choice")
        choice = {"type": "function", "function": {"name": name}}
    elif choice is not None and choice not in _CHOICES:
        known = ", ".join(_CHOICES)
        raise bad_request(f"give {known}, or an object that names a function", "tool_choice")
    if not tools:
        _require(choice in (None, "none", "auto"), "a tool call is wanted and no tools are offered", "tool_choice")
        return {}
    arguments: dict[str, Any] = {"tools": list(tools.values())}
    if choice is not None:
        arguments["tool_choice"] = choice
    if asked.parallel_tool_calls is not None:
        arguments["parallel_tool_calls"] = asked.parallel_tool_calls
    return arguments


def _allowed(choice: dict[str, Any]) -> tuple[list[str], str]:
    """Names of the tools that may be called, and whether one must be."""
    path = "tool_choice.allowed_tools"
    given = choice.get("allowed_tools")
    wanted = "give a mode ('auto' or 'required') and a list of tools"
    if not isinstance(given, dict) or given.get("mode") not in ("auto", "required"):
        raise bad_request(wanted, path)
    tools = given.get("tools")
    if not isinstance(tools, list) or not tools:
        raise bad_request(wanted, path)
    return [_function_name(tool, f"{path}.tools[{index}]") for index, tool in enumerate(tools)], given["mode"]


def _function_name(value: Any, path: str) -> str:
    function = value.get("function") if isinstance(value, dict) and value.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise bad_request("give {'type': 'function', 'function': {'name': …}}; custom tools are not supported", path)
    return name


def _require(holds: bool, message: str, path: str) -> None:
    if not holds:
        raise bad_request(message, path)
