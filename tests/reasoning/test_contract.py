"""One graph, six ways to run it: invoke, ainvoke, stream, astream, batch and abatch come to the same."""

import asyncio
import threading
from typing import Any

import pytest
from langgraph.errors import InvalidUpdateError

from langgraph_ratchet.chat_models.scripted import PolicyChatModel, ScriptedChatModel
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

GIVEN = {"question": "What is 45 + 33?"}
CONTEXTS = {"none": None, "default": Context(), "full": Context(strategy="direct", temperature=0.5, seed=1, calls=9)}


async def run(graph: Any, way: str, given: Any, context: Any) -> dict[str, Any]:
    """The last state of one run, as that way gives it."""
    settings = {} if context is None else {"context": context}
    match way:
        case "invoke":
            last = graph.invoke(given, **settings)
        case "ainvoke":
            last = await graph.ainvoke(given, **settings)
        case "stream":
            *_, last = graph.stream(given, stream_mode="values", **settings)
        case "astream":
            *_, last = [state async for state in graph.astream(given, stream_mode="values", **settings)]
        case "batch":
            last = graph.batch([given, given], **settings)[1]
        case _:
            last = (await graph.abatch([given, given], **settings))[1]
    return dict(last)


WAYS = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch")


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
async def test_every_way_leaves_the_same_trace(
    context: Context | None, adder: Any, store: TraceStore, content_of: Any
) -> None:
    graph = create_reasoner(PolicyChatModel(policy=adder), get_tools("calculator"), store=store).compile()
    lasts = [await run(graph, way, GIVEN, context) for way in WAYS]
    contents = [content_of(store.trace(last["trace_id"])) for last in lasts]
    assert contents[0]["answer"] == "78"
    assert contents[0]["calls"]
    assert all(content == contents[0] for content in contents)
    for name in ("answer", "confidence", "outcome", "plan", "strategy", "revisions"):
        assert [last[name] for last in lasts] == [contents[0][name]] * len(WAYS)
    assert [last["messages"][-1].text for last in lasts] == ["78"] * len(WAYS)


@pytest.mark.parametrize("way", WAYS)
async def test_bad_input_is_the_same_error_every_way(way: str, store: TraceStore) -> None:
    graph = create_reasoner(ScriptedChatModel.of(), store=store).compile()
    with pytest.raises(BadInputError, match="the question is empty"):
        await run(graph, way, {"question": " "}, None)
    with pytest.raises(BadInputError, match="no question: give `question`"):
        await run(graph, way, {"messages": []}, None)
    with pytest.raises(BadInputError, match="calls='many': Input should be a valid integer"):
        await run(graph, way, GIVEN, {"calls": "many"})
    with pytest.raises((BadInputError, InvalidUpdateError)):
        await run(graph, way, {}, None)
    assert store.traces(limit=None) == []


async def test_async_runs_touch_no_file_in_the_event_loop(adder: Any, tmp_path: Any) -> None:
    loop_thread, used = threading.get_ident(), set()

    class Watched(TraceStore):
        def __getattribute__(self, name: str) -> Any:
            used.add((name, threading.get_ident()))
            return super().__getattribute__(name)

    def remembered(question: Any) -> list[str]:
        used.add(("memory", threading.get_ident()))
        return []

    store = Watched(f"sqlite:///{tmp_path}/traces.db")
    model = PolicyChatModel(policy=adder)
    graph = create_reasoner(model, get_tools("calculator"), store=store, memory=remembered).compile()
    used.clear()
    await asyncio.gather(*(graph.ainvoke(GIVEN) for _ in range(3)))
    assert "memory" in {name for name, _ in used}
    assert len(used) > 3
    assert not {name for name, thread in used if thread == loop_thread}
    assert len(store.traces(limit=None)) == 3
    store.close()


def test_a_context_lowers_limits_and_never_raises_them(adder: Any, store: TraceStore) -> None:
    from langgraph_ratchet.reasoning.budgets import Budgets

    graph = create_reasoner(
        PolicyChatModel(policy=adder), get_tools("calculator"), store=store, budgets=Budgets(calls=5)
    ).compile()
    outcomes = {calls: graph.invoke(GIVEN, context=Context(calls=calls)) for calls in (0, 3, 99)}
    assert {calls: out["outcome"] for calls, out in outcomes.items()} == dict.fromkeys((0, 3, 99), "out_of_steps")
    assert {calls: len(store.trace(out["trace_id"]).calls) for calls, out in outcomes.items()} == {0: 0, 3: 3, 99: 5}


def test_a_context_names_a_model_only_where_the_graph_allows_it(adder: Any, store: TraceStore) -> None:
    other = PolicyChatModel(policy=adder, name_of_model="other")
    tools = get_tools("calculator")
    graph = create_reasoner(ScriptedChatModel.of(), tools, store=store, models={"other": other}.__getitem__).compile()
    out = graph.invoke(GIVEN, context={"model": "other"})
    assert out["answer"] == "78"
    trace = store.trace(out["trace_id"])
    assert trace.model == "other"
    assert {call.node for call in trace.calls if call.tools} == {"act"}
    closed = create_reasoner(other, tools, store=store).compile()
    with pytest.raises(BadInputError, match="the context names the model 'other', and this graph does not let it"):
        closed.invoke(GIVEN, context={"model": "other"})
