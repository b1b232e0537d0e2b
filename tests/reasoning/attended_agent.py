"""An agent that is attended: a tool that sends, a reasoner on a thread of its own, and a person's decisions."""

from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools.spec import Effect, declare
from langgraph_ratchet.traces.store import TraceStore

THREAD: Any = {"configurable": {"thread_id": "1"}}
GIVEN = {"question": "Write to Ada."}
APPROVE = {"type": "approve"}


class Outbox:
    """A tool that sends, and what it has sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def tool(self, **spec: Any) -> BaseTool:
        """The tool, which declares that it writes unless `spec` says otherwise."""
        return declare(self.undeclared(), **{"effects": {Effect.WRITES}, "trust": Trust.OWN, **spec})

    def undeclared(self) -> BaseTool:
        """The tool as people write theirs."""

        def send(to: str, copies: int = 1) -> str:
            """Send a message."""
            self.sent.append((to, copies))
            return f"sent {copies} to {to}"

        return StructuredTool.from_function(send)


def call(to: str = "ada", id_: str = "1", name: str = "send", **more: Any) -> dict[str, Any]:
    return {"name": name, "args": {"to": to, **more}, "id": id_}


def calls(*each: dict[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=list(each))


class Agent:
    """A reasoner on a thread of its own, and its model."""

    def __init__(self, script: list[Any], tools: list[Any], store: TraceStore, *, saved: bool = True, **more: Any):
        self.model, self.store = ScriptedChatModel.of(*script), store
        saver = InMemorySaver() if saved else None
        self.graph = create_reasoner(self.model, tools, store=store, **more).compile(checkpointer=saver)
        self.out: dict[str, Any] = {}

    def start(self) -> "Agent":
        self.out = self.graph.invoke(GIVEN, THREAD)
        return self

    def decide(self, *decisions: Any) -> "Agent":
        self.out = self.graph.invoke(Command(resume={"decisions": list(decisions)}), THREAD)
        return self

    @property
    def asked(self) -> Any:
        """What a person is asked; `None` when nothing is."""
        waiting = self.out.get("__interrupt__")
        return waiting[0].value if waiting else None

    @property
    def trace(self) -> Trace:
        return self.store.trace(self.out["trace_id"])

    @property
    def told(self) -> list[Any]:
        """The conversation that the model was shown when it acted last."""
        return next(messages for messages in reversed(self.model.asked) if messages[-1].type == "tool")
