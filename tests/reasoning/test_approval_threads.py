"""Approval across threads, subgraphs, tools that reason, processes and edits in Studio: nothing is done twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import InjectedToolArg, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from tests.reasoning.attended_agent import APPROVE, GIVEN, THREAD, Agent, Outbox, call, calls

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.step import Approval, Trust
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools.runner import RunInfo
from langgraph_ratchet.tools.spec import declare
from langgraph_ratchet.traces.store import TraceStore

Made = Callable[..., Any]
RESUME = Command(resume={"decisions": [APPROVE]})


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def sender(lines: Any, store: TraceStore, outbox: Outbox) -> Callable[..., Any]:
    """The graph of an agent that sends to Ada and Bob."""

    def make(**more: Any) -> Any:
        model = ScriptedChatModel.of(*lines(act=[calls(call(), call("bob", "2")), "Done."], synthesize="sent"))
        return create_reasoner(model, [outbox.tool()], store=store, **more)

    return make


def test_as_a_subgraph_it_asks_through_its_parent(sender: Made, outbox: Outbox, store: TraceStore) -> None:
    begun: list[int] = []
    parent = StateGraph(MessagesState)
    parent.add_node("before", lambda state: begun.append(1))
    parent.add_node("reason", sender().compile())
    parent.add_edge(START, "before")
    parent.add_edge("before", "reason")
    graph = parent.compile(checkpointer=InMemorySaver())
    waiting = graph.invoke({"messages": [("user", "Write to both.")]}, THREAD)
    for sent in ([], [("ada", 1)]):
        assert outbox.sent == sent
        assert waiting["__interrupt__"][0].value["action_requests"][0]["name"] == "send"
        waiting = graph.invoke(RESUME, THREAD)
    assert waiting["messages"][-1].text == "sent"
    assert outbox.sent == [("ada", 1), ("bob", 1)]
    assert begun == [1]
    (trace,) = store.traces(limit=None)
    assert trace.calls == 6


def test_a_subgraph_that_is_kept_nowhere_does_not_act(sender: Made, outbox: Outbox) -> None:
    """Resumed, its parent would run it from its beginning, and an approval of the second call make the first again."""
    parent = StateGraph(MessagesState)
    parent.add_node("reason", sender().compile(checkpointer=False))
    parent.add_edge(START, "reason")
    out = parent.compile(checkpointer=InMemorySaver()).invoke({"messages": [("user", "Write to both.")]}, THREAD)
    assert "__interrupt__" not in out
    assert outbox.sent == []


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("saved", [True, False], ids=["a checkpointer", "none"])
def test_a_reasoner_that_is_a_tool_asks_through_its_caller(
    sender: Made, outbox: Outbox, lines: Any, store: TraceStore, saved: bool
) -> None:
    inner = sender().compile().as_tool(name="reasoner", description="Reasons.", arg_types={"question": str})
    acts = [calls({"name": "reasoner", "args": {"question": "Write to both."}, "id": "1"}), "Done."]
    outer = Agent(lines(act=acts), [inner], store, saved=saved, allow=["reasoner"]).start()
    if not saved:
        assert outer.trace.outcome == Outcome.ANSWERED
        assert outbox.sent == []
        assert outer.asked is None
        return
    for sent in ([], [("ada", 1)]):
        assert outbox.sent == sent
        assert outer.asked["action_requests"][0]["name"] == "send"
        outer.decide(APPROVE)
    assert outer.trace.outcome == Outcome.ANSWERED
    assert "'answer': 'sent'" in outer.trace.steps[0].output
    assert outbox.sent == [("ada", 1), ("bob", 1)]
    assert {trace.calls for trace in store.traces(limit=None)} == {6}


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("read", [True, False])
def test_what_a_run_has_read_its_tools_runs_have_read(
    read: bool, sender: Made, outbox: Outbox, lines: Any, store: TraceStore
) -> None:
    """A model that obeys a page may put the page's wishes into the question of a reasoner that is its tool."""
    inner = sender(allow=["send"]).compile().as_tool(name="reasoner", description=".", arg_types={"question": str})
    trust = Trust.UNTRUSTED if read else Trust.OWN
    page = declare(StructuredTool.from_function(lambda: "text", name="page", description="."), effects=(), trust=trust)
    both = calls({"name": "page", "args": {}, "id": "1"}, {"name": "reasoner", "args": {"question": "?"}, "id": "2"})
    outer = Agent(lines(act=[both, "Done."]), [page, declare(inner, effects=())], store).start()
    assert bool(outer.asked) == read
    assert bool(outbox.sent) != read


def test_a_run_that_waits_goes_on_in_another_process(
    sender: Made, lines: Any, outbox: Outbox, store: TraceStore, tmp_path: Path
) -> None:
    path = str(tmp_path / "checkpoints.db")
    with SqliteSaver.from_conn_string(path) as saver:
        sender().compile(checkpointer=saver).invoke(GIVEN, THREAD, durability="sync")
    rest = ["Done.", "sent", "yes"]
    with SqliteSaver.from_conn_string(path) as saver:
        graph = create_reasoner(ScriptedChatModel.of(*rest), [outbox.tool()], store=store).compile(checkpointer=saver)
        (waiting,) = graph.get_state(THREAD).interrupts
        assert waiting.value["action_requests"][0]["args"] == {"to": "ada"}
        graph.invoke(RESUME, THREAD)
        out = graph.invoke(RESUME, THREAD)
    assert outbox.sent == [("ada", 1), ("bob", 1)]
    assert [step.approval for step in store.trace(out["trace_id"]).steps] == [Approval.APPROVED] * 2


def test_a_run_that_ends_between_two_calls_of_a_reply_repeats_none(
    sender: Made, outbox: Outbox, tmp_path: Path
) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        graph = sender(allow=["send"]).compile(checkpointer=saver)
        for update in graph.stream(GIVEN, THREAD, durability="sync"):
            if "tools" in update:
                break
        assert outbox.sent == [("ada", 1)]
        assert graph.invoke(None, THREAD)["answer"] == "sent"
    assert outbox.sent == [("ada", 1), ("bob", 1)]


def test_a_person_edits_the_arguments_before_any_single_call(lines: Any, outbox: Outbox, store: TraceStore) -> None:
    """As Studio does: pause before the node, change the state, go on."""
    three = calls(call("ada", "1"), call("bob", "2"), call("cy", "3"))
    model = ScriptedChatModel.of(*lines(act=[three, "Done."]))
    reasoner = create_reasoner(model, [outbox.tool()], store=store, allow=["send"])
    graph = reasoner.compile(checkpointer=InMemorySaver(), interrupt_before=["tools"])
    graph.invoke(GIVEN, THREAD)
    for sent in ([], [("ada", 1)], [("ada", 1), ("di", 1)]):
        state = graph.get_state(THREAD)
        assert state.next == ("tools",)
        assert outbox.sent == sent
        if len(sent) == 1:
            transcript = [message.model_dump() for message in state.values["transcript"]]
            transcript[0]["tool_calls"][1]["args"]["to"] = "di"
            graph.update_state(THREAD, {"transcript": transcript})
        out = graph.invoke(None, THREAD)
    assert outbox.sent == [("ada", 1), ("di", 1), ("cy", 1)]
    steps = store.trace(out["trace_id"]).steps
    assert [(step.input["to"], step.proposed) for step in steps] == [("ada", None), ("di", {"to": "bob"}), ("cy", None)]
    told = model.asked[3][-3:]
    assert [message.content.startswith("(The user changed") for message in told] == [False, True, False]


def test_a_person_takes_the_calls_out_of_the_state(lines: Any, outbox: Outbox, store: TraceStore) -> None:
    model = ScriptedChatModel.of(*lines(act=[calls(call()), "Done."]))
    reasoner = create_reasoner(model, [outbox.tool()], store=store, allow=["send"])
    graph = reasoner.compile(checkpointer=InMemorySaver(), interrupt_before=["tools"])
    graph.invoke(GIVEN, THREAD)
    graph.update_state(THREAD, {"transcript": [AIMessage("I would write.")]}, as_node="select_strategy")
    out = graph.invoke(None, THREAD)
    assert (out["outcome"], out["steps"], outbox.sent) == ("answered", [], [])


def test_the_next_run_on_a_thread_has_read_nothing_yet(lines: Any, outbox: Outbox, store: TraceStore) -> None:
    page = declare(StructuredTool.from_function(lambda: "text", name="page", description="."), effects=())
    look = calls({"name": "page", "args": {}, "id": "1"})
    script = [*lines(act=[look, "Done."]), *lines(act=[calls(call()), "Done."])]
    agent = Agent(script, [page, outbox.tool()], store, allow=["send"]).start()
    assert agent.graph.get_state(THREAD).values["untrusted"]
    assert agent.start().asked is None
    assert outbox.sent == [("ada", 1)]


def test_a_tool_is_told_what_the_run_has_read(lines: Any, store: TraceStore) -> None:
    told: list[RunInfo | None] = []

    def look(run: Annotated[RunInfo | None, InjectedToolArg] = None) -> str:
        """Looks."""
        told.append(run)
        return "text"

    twice = calls({"name": "look", "args": {}, "id": "1"}, {"name": "look", "args": {}, "id": "2"})
    agent = Agent(lines(act=[twice, "Done."]), [declare(look, effects=())], store).start()
    trace = agent.trace
    assert told == [RunInfo(trace_id=trace.id, started_at=trace.started_at, untrusted=read) for read in (False, True)]
