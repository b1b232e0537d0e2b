"""A chat model that knows its lines, real tools, and what a finished run left behind."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

Line = str | AIMessage | Exception
QUESTION = "What is 45 + 33?"


@pytest.fixture
def store() -> Iterator[TraceStore]:
    store = TraceStore(":memory:")
    yield store
    store.close()


@pytest.fixture
def tool_call() -> Callable[..., AIMessage]:
    """A reply that calls one tool."""

    def make(name: str = "calculator", /, **arguments: Any) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": "call_0"}])

    return make


@pytest.fixture
def lines(tool_call: Callable[..., AIMessage]) -> Callable[..., list[Line]]:
    """What a good run says, by node; a node that is given says that instead."""

    def make(**instead: Line | Sequence[Line]) -> list[Line]:
        good: dict[str, Line | Sequence[Line]] = {
            "plan": "1. Calculate with calculator.",
            "select_strategy": "direct",
            "act": [tool_call(expression="45 + 33"), "The result is 78."],
            "synthesize": "78",
            "self_check": "yes",
        }
        assert instead.keys() <= good.keys()
        said = {**good, **instead}.values()
        return [line for item in said for line in ([item] if isinstance(item, Line) else item)]

    return make


@dataclass
class Ran:
    """A run that is over."""

    out: dict[str, Any]
    model: ScriptedChatModel
    trace: Trace

    def asked(self, call: int) -> str:
        """Everything that the model was shown in its n-th call, from 0."""
        return "\n".join(str(message.content) for message in self.model.asked[call])


@pytest.fixture
def reason(store: TraceStore) -> Callable[..., Ran]:
    """Runs the reasoning graph once, with the calculator unless other tools are given."""

    def run(
        script: Sequence[Line],
        *,
        question: Any = QUESTION,
        tools: Sequence[BaseTool | Callable[..., Any]] | None = None,
        budgets: Budgets | None = None,
        context: Context | None = None,
        **settings: Any,
    ) -> Ran:
        model = ScriptedChatModel.of(*script)
        offered = get_tools("calculator") if tools is None else tools
        reasoner = create_reasoner(model, offered, store=store, budgets=budgets, **settings).compile()
        out = reasoner.invoke({"question": question}, context=context)
        return Ran(out, model, store.trace(out["trace_id"]))

    return run


def _node(messages: Sequence[BaseMessage]) -> str:
    """Which node asks, by how its prompt begins."""
    nodes = ("plan", "select_strategy", "synthesize", "self_check")
    opening = str(messages[0].content)
    return next((name for name in nodes if opening.startswith(prompt(name).split("{")[0])), "act")


@pytest.fixture
def adder() -> Callable[[list[BaseMessage], dict[str, Any]], AIMessage]:
    """A policy that adds with the calculator. It keeps nothing in mind, so that many runs can share it."""

    def reply(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        node, text = _node(messages), str(messages[1].content)
        if node == "act" and isinstance(messages[-1], ToolMessage):
            return AIMessage(f"The result is {messages[-1].content}.")
        if node == "act":
            (expression,) = re.findall(r"\d+ \+ \d+", text)
            arguments = {"expression": expression}
            return AIMessage("", tool_calls=[{"name": "calculator", "args": arguments, "id": "call_0"}])
        if node == "synthesize":
            return AIMessage(re.findall(r"The result is (\d+)\.", text)[-1])
        return AIMessage({"plan": "1. Calculate with calculator.", "select_strategy": "direct"}.get(node, "yes"))

    return reply


def content_of(trace: Trace) -> dict[str, Any]:
    """What a trace says, without ids and times: equal for runs that went the same way."""
    content = trace.model_dump(mode="json", exclude={"id", "started_at", "seconds"})
    for number, call in enumerate(content["calls"]):
        for step in content["steps"]:
            if step["call_id"] == call["id"]:
                step["call_id"] = number
        for name in ("id", "seconds"):
            del call[name]
        del call["key"]["run_id"], call["key"]["task_id"]
        for message in call["messages"]:
            message.pop("id", None)
    return content


@pytest.fixture(name="content_of")
def _content_of() -> Callable[[Trace], dict[str, Any]]:
    return content_of


@pytest.fixture(name="node_of")
def _node_of() -> Callable[[Sequence[BaseMessage]], str]:
    return _node
