"""A run whose MCP server misbehaves goes on to its answer."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from tests.tools.mcp.processes import Entry, Start

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.traces.store import TraceStore

READS = {"tools": {"do": {"effects": ["reads"]}}, "call_timeout_s": 0.5}


def asks(*actions: str) -> list[Any]:
    """A model that has the server do all this, one after another, and then answers."""
    calls = [
        AIMessage("", tool_calls=[{"name": "s__do", "args": {"action": action}, "id": f"call_{number}"}])
        for number, action in enumerate(actions)
    ]
    return ["1. Ask the server.", "direct", *calls, "Done.", "78", "yes"]


@pytest.mark.parametrize(
    ("action", "why"),
    [pytest.param("hang", "gave no result", marks=pytest.mark.slow), ("die", "status 3"), ("garbage", "no message")],
)
def test_a_run_goes_on(start: Start, plain: Entry, action: str, why: str) -> None:
    servers = start(s=plain(rules=READS | {"call_timeout_s": 2.5} if action == "hang" else READS))
    store = TraceStore(":memory:")
    model = ScriptedChatModel.of(*asks(action, "count"))
    graph = create_reasoner(model, tools=servers.tools, store=store).compile()
    out = graph.invoke({"messages": [("user", "What is 45 + 33?")]})
    trace = store.trace(out["trace_id"])
    store.close()
    assert (trace.outcome, out["answer"]) == (Outcome.ANSWERED, "78")
    failed, counted = (step for step in trace.steps if step.tool == "s__do")
    assert failed.failed
    assert why in str(failed.output)
    assert (counted.failed, counted.output, counted.trust) == (False, "1", Trust.UNTRUSTED)


def test_a_tool_that_declares_nothing_is_not_called_unasked(start: Start, plain: Entry) -> None:
    """Without a checkpointer nobody can be asked."""
    servers = start(s=plain())
    graph = create_reasoner(ScriptedChatModel.of(*asks("count")), tools=servers.tools, store=None).compile()
    out = graph.invoke({"messages": [("user", "What is 45 + 33?")]})
    assert out["answer"] == "78"
    (tool,) = servers.tools
    assert tool.invoke({"action": "count"})[0]["text"] == "1"
