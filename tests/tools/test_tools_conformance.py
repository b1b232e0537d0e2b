"""The conformance checks over every tool (a new file is tested by being there), and that they notice what is wrong."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.core.errors import ConformanceError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools, tool_names
from langgraph_ratchet.tools.conformance import (
    CHECKS,
    check_async_agrees,
    check_bad_arguments_end_in_an_error_text,
    check_declaration,
    check_hostile_arguments_end_in_a_text,
)
from langgraph_ratchet.tools.spec import Effect, ToolSpec


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", tool_names())
def test_every_tool_keeps_what_tools_promise(name: str, check: Callable[[BaseTool], None]) -> None:
    (tool,) = get_tools(name)
    check(tool)


def tool_of(function: Callable[..., Any], name: str | None = None, **fields: Any) -> StructuredTool:
    spec = ToolSpec(**{"timeout_s": 0.2, "output_cap": 100, "trust": Trust.OWN, **fields})
    described = {"name": name, "description": "A tool for a test.", "metadata": spec.metadata()}
    return StructuredTool.from_function(function, **described)


def test_a_tool_that_hangs_on_some_argument_is_noticed() -> None:
    def slow(text: str) -> str:
        time.sleep(0.5 if "DROP" in text else 0)
        return "done"

    with pytest.raises(ConformanceError, match=r"slow: arguments .*DROP.* take less than its 0.2 s"):
        check_hostile_arguments_end_in_a_text(tool_of(slow))


def test_forms_that_differ_are_noticed() -> None:
    async def later(text: str) -> str:
        return "later"

    def now(text: str) -> str:
        return "now"

    tool = tool_of(now)
    tool.coroutine = later
    with pytest.raises(ConformanceError, match="both forms agree"):
        check_async_agrees(tool)


def test_a_tool_without_a_declaration_is_noticed() -> None:
    def bare(text: str) -> str:
        """A tool that says nothing about itself."""
        return text

    with pytest.raises(ConformanceError, match="carries a ToolSpec"):
        check_declaration(StructuredTool.from_function(bare))


def test_a_tool_that_swallows_unknown_arguments_is_noticed() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": []}
    tool = tool_of(lambda **given: "fine", name="lax").model_copy(update={"args_schema": schema})
    with pytest.raises(ConformanceError, match="lax: names an unknown argument"):
        check_bad_arguments_end_in_an_error_text(tool)


def test_a_tool_that_changes_something_is_not_called_with_hostile_arguments() -> None:
    sent: list[str] = []
    tool = tool_of(lambda text: sent.append(text), name="send", effects=frozenset({Effect.NETWORK}))
    for check in CHECKS[2:]:
        check(tool)
    assert sent == []
