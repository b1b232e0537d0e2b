"""What the scripted model says, and a tool that sends."""

from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import Effect, ToolSpec

CALL = AIMessage("", tool_calls=[{"name": "clock", "args": {"operation": "weekday", "start": "2024-03-05"}, "id": "1"}])
DATE = ("1. Ask clock.", "direct", CALL, "It is a Tuesday.", "Tuesday", "yes")
SEND = AIMessage("", tool_calls=[{"name": "send", "args": {"to": "ada", "text": "hi"}, "id": "1"}])
MAIL = ("1. Send it.", "direct", SEND, "Done.", "done", "yes")


class Outbox:
    """A tool that sends, and what it has sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def tool(self) -> BaseTool:
        def send(to: str, text: str) -> str:
            """Send a message."""
            self.sent.append((to, text))
            return "sent"

        spec = ToolSpec(effects=frozenset({Effect.WRITES}), timeout_s=5, output_cap=100, trust=Trust.OWN)
        return StructuredTool.from_function(send, metadata=spec.metadata())


def text_of(result: Any) -> str:
    """What a client without structured content reads."""
    (content,) = result.content
    return str(content.text)
