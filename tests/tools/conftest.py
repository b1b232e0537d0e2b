from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.core.question import Attachment
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.runner import ToolResult, run_tool


@pytest.fixture
def use() -> Callable[..., ToolResult]:
    """Runs a built-in tool by name, as the graph does."""

    def run(name: str, attachments: tuple[Attachment, ...] = (), **arguments: Any) -> ToolResult:
        (tool,) = get_tools(name)
        return run_tool(tool, ToolCall(name=name, args=arguments, id="1"), attachments)

    return run
