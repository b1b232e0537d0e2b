"""The reasoner as what LangGraph and LangChain make of it: async, streamed, in batches, a subgraph, a tool."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import TypedDict

from langgraph_ratchet.chat_models.scripted import PolicyChatModel, ScriptedChatModel
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.spec import declare
from langgraph_ratchet.traces.store import TraceStore

EDGES = {
    ("__start__", "accept"),
    ("accept", "recall"),
    ("recall", "plan"),
    ("plan", "select_strategy"),
    ("select_strategy", "act"),
    ("act", "tools"),
    ("tools", "tools"),
    ("tools", "act"),
    ("act", "synthesize"),
    ("synthesize", "self_check"),
    ("self_check", "plan"),
    ("self_check", "act"),
    ("self_check", "finish"),
    ("finish", "__end__"),
    # A run may end in every node that asks for something.
    ("plan", "finish"),
    ("select_strategy", "finish"),
    ("act", "finish"),
    ("tools", "finish"),
    ("synthesize", "finish"),
}


@pytest.fixture
def adding(adder: Any, store: TraceStore) -> Any:
    """A compiled reasoner that many runs can share."""
    return create_reasoner(PolicyChatModel(policy=adder), get_tools("calculator"), store=store).compile()


def make(script: Any, store: TraceStore | None, **settings: Any) -> Any:
    return create_reasoner(ScriptedChatModel.of(*script), get_tools("calculator"), store=store, **settings).compile()


def test_the_picture_has_the_edges_of_the_design(adding: Any) -> None:
    graph = adding.get_graph()
    assert {(edge.source, edge.target) for edge in graph.edges} == EDGES
    picture = graph.draw_mermaid()
    for source, target in EDGES:
        assert f"{source} --> {target};" in picture or f"{source} -.-> {target};" in picture


def test_the_graph_says_what_it_takes_and_gives(adding: Any) -> None:
    assert adding.get_input_jsonschema()["properties"].keys() == {"messages", "question"}
    assert {"messages", "answer", "confidence", "trace_id", "outcome"} <= adding.get_output_jsonschema()[
        "properties"
    ].keys()
    limits = {"calls", "tool_calls", "tokens", "seconds", "revisions"}
    fields = adding.get_context_jsonschema()["properties"]
    assert fields.keys() == {"model", "strategy", "temperature", "seed", "trace_id", *limits}
    described = [*fields.values(), *adding.get_input_jsonschema()["properties"].values()]
    assert all(field["description"] for field in described)


def ways(tool_call: Any, lines: Any) -> dict[str, Any]:
    """Scripts that go through every part of the driver."""
    wrong = tool_call(expression="45 - 33")
    four = [{"name": "calculator", "args": {"expression": f"1 + {n}"}, "id": str(n)} for n in range(4)]
    return {
        "good": lines(),
        "revised": [*lines(synthesize="12", self_check="no, a sum"), *lines(select_strategy=[])],
        "failing tool": lines(act=[tool_call("wheel"), wrong, tool_call(expression="45 +"), "The result is 78."]),
        "failing model": ["1. Add.", ValueError("gone")],
        "malformed": ["", "1. Add.", "none of them", ""],
        "out of tool calls": lines(act=AIMessage("", tool_calls=four)),
    }


@pytest.mark.parametrize("way", ["good", "revised", "failing tool", "failing model", "malformed", "out of tool calls"])
async def test_sync_and_async_leave_the_same_trace(
    way: str, lines: Any, tool_call: Any, store: TraceStore, content_of: Any
) -> None:
    budgets = Budgets(tool_calls=3)
    context = Context(temperature=0.5, seed=1)
    given = {"question": "What is 45 + 33?"}
    sync_out = make(ways(tool_call, lines)[way], store, budgets=budgets).invoke(given, context=context)
    reasoner = make(ways(tool_call, lines)[way], store, budgets=budgets)
    async_out = await reasoner.ainvoke(given, context=context)
    traces = [store.trace(out["trace_id"]) for out in (sync_out, async_out)]
    assert traces[0].calls
    assert content_of(traces[0]) == content_of(traces[1])
    assert sync_out["messages"][-1].text == async_out["messages"][-1].text


def test_streamed_updates_show_how_the_run_goes_on(adding: Any) -> None:
    updates: dict[str, Any] = {}
    for update in adding.stream({"question": "What is 1 + 2?"}, stream_mode="updates"):
        updates |= update
    assert updates["plan"]["plan"] == ["Calculate with calculator."]
    assert updates["select_strategy"]["strategy"] == "direct"
    assert [step["output"] for step in updates["tools"]["steps"]] == ["3"]
    assert updates["synthesize"]["answer"] == "3"
    assert updates["finish"]["outcome"] == "answered"


async def test_streaming_is_the_same_when_async(adding: Any) -> None:
    given = {"question": "What is 1 + 2?"}
    nodes = [node for update in adding.stream(given, stream_mode="updates") for node in update]
    async_nodes = [node async for update in adding.astream(given, stream_mode="updates") for node in update]
    assert async_nodes == nodes


def test_values_are_streamed_as_the_output_has_them(adding: Any) -> None:
    *_, last = adding.stream({"question": "What is 1 + 2?"}, stream_mode="values")
    assert last["answer"] == "3"


async def test_batches_give_one_trace_each(adding: Any, store: TraceStore) -> None:
    questions = [{"question": f"What is {number} + 2?"} for number in range(4)]
    outs = adding.batch(questions) + await adding.abatch(questions)
    assert [out["answer"] for out in outs] == ["2", "3", "4", "5"] * 2
    traces = [store.trace(out["trace_id"]) for out in outs]
    assert len({trace.id for trace in traces}) == 8
    assert [trace.question.text for trace in traces[:4]] == [item["question"] for item in questions]
    assert all(len(trace.calls) == 6 for trace in traces)


async def test_many_runs_at_once_do_not_mix(adding: Any, store: TraceStore) -> None:
    outs = await asyncio.gather(*(adding.ainvoke({"question": f"What is {n} + {n}?"}) for n in range(8)))
    assert [out["answer"] for out in outs] == [str(2 * n) for n in range(8)]
    for out in outs:
        assert {call.key.run_id for call in store.trace(out["trace_id"]).calls} == {out["trace_id"]}


def test_it_is_a_node_of_another_graph(adding: Any) -> None:
    parent = StateGraph(MessagesState)
    parent.add_node("reasoner", adding)
    parent.add_node("thank", lambda state: {"messages": [AIMessage("Glad to help.")]})
    parent.add_edge(START, "reasoner")
    parent.add_edge("reasoner", "thank")
    out = parent.compile().invoke({"messages": [("user", "What is 1 + 2?")]})
    assert [message.text for message in out["messages"]] == ["What is 1 + 2?", "3", "Glad to help."]


class Outer(TypedDict, total=False):
    question: str
    answer: str


@dataclass
class OuterContext:
    user: str


@dataclass(frozen=True)
class WiderContext(Context):
    user: str = "Ada"


@pytest.mark.parametrize(
    ("schema", "context", "temperature"),
    [
        (OuterContext, OuterContext("Ada"), None),
        (WiderContext, WiderContext(temperature=0.5), 0.5),
        (None, {"a": 1}, None),
    ],
)
def test_a_parent_may_have_a_context_of_its_own(
    adding: Any, store: TraceStore, schema: Any, context: Any, temperature: float | None
) -> None:
    parent = StateGraph(Outer, context_schema=schema)
    parent.add_node("reasoner", adding)
    parent.add_edge(START, "reasoner")
    assert parent.compile().invoke({"question": "What is 1 + 2?"}, context=context)["answer"] == "3"
    (summary,) = store.traces(limit=None)
    assert store.trace(summary.id).calls[0].sampling.temperature == temperature


def test_a_context_may_arrive_as_json(adding: Any, store: TraceStore) -> None:
    out = adding.invoke({"question": "What is 1 + 2?"}, context={"strategy": "deductive", "temperature": 0.0})
    trace = store.trace(out["trace_id"])
    assert trace.strategy == "deductive"
    assert trace.calls[0].sampling.temperature == 0.0


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_it_is_a_tool(adding: Any, lines: Any, store: TraceStore) -> None:
    tool = adding.as_tool(name="reasoner", description="Reasons.", arg_types={"question": str})
    assert tool.args.keys() == {"question"}
    assert tool.invoke({"question": "What is 1 + 2?"})["answer"] == "3"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_a_reasoner_can_use_a_reasoner(adding: Any, reason: Any, lines: Any, tool_call: Any, store: TraceStore) -> None:
    tool = declare(adding.as_tool(name="reasoner", description="Reasons.", arg_types={"question": str}), effects=())
    ran = reason(lines(act=[tool_call("reasoner", question="What is 45 + 33?"), "The result is 78."]), tools=[tool])
    assert ran.trace.outcome == Outcome.ANSWERED
    assert "'answer': '78'" in ran.trace.steps[0].output
    traces = store.traces(limit=None)
    assert len(traces) == 2  # each run has a trace of its own
    assert {trace.calls for trace in traces} == {6}
