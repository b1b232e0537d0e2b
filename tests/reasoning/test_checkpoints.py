"""Threads: several questions on one, a killed run that goes on, and what lies in the checkpoints."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command, interrupt

from langgraph_ratchet.chat_models.scripted import PolicyChatModel, ScriptedChatModel
from langgraph_ratchet.core.call import Fingerprint, Tokens
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.core.question import Attachment, Question
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

THREAD: Any = {"configurable": {"thread_id": "1"}}
GIVEN = {"question": "What is 45 + 33?"}


class Killed:
    """A model that is killed, as by Ctrl-C, when it is asked for the `at`-th time."""

    def __init__(self, policy: Callable[..., AIMessage], at: int) -> None:
        self.policy, self.at, self.asked = policy, at, 0

    def __call__(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        self.asked += 1
        if self.asked == self.at:
            raise KeyboardInterrupt
        return self.policy(messages, kwargs)


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        yield saver


def make(policy: Any, store: TraceStore | None, saver: Any) -> Any:
    model = policy if isinstance(policy, ScriptedChatModel) else PolicyChatModel(policy=policy)
    return create_reasoner(model, get_tools("calculator"), store=store).compile(checkpointer=saver)


def test_a_second_run_on_a_thread_starts_fresh(adder: Any, store: TraceStore, content_of: Any) -> None:
    reasoner = make(adder, store, InMemorySaver())
    context = Context(seed=3)
    first = reasoner.invoke({"question": "What is 1 + 2?"}, THREAD, context=context)
    second = reasoner.invoke({"question": "What is 30 + 4?"}, THREAD, context=context)
    alone = make(adder, store, InMemorySaver()).invoke({"question": "What is 30 + 4?"}, THREAD, context=context)
    assert (first["answer"], second["answer"]) == ("3", "34")
    assert first["trace_id"] != second["trace_id"]
    # The same calls, seeds, steps and numbers as on a thread of its own.
    assert content_of(store.trace(second["trace_id"])) == content_of(store.trace(alone["trace_id"]))
    assert [message.text for message in second["messages"]] == ["3", "34"]


def test_nothing_of_an_earlier_run_is_in_the_trace_of_a_failed_one(lines: Any, store: TraceStore) -> None:
    reasoner = make(ScriptedChatModel.of(*lines(), ValueError("gone")), store, InMemorySaver())
    reasoner.invoke(GIVEN, THREAD)
    trace = store.trace(reasoner.invoke({"question": "And now?"}, THREAD)["trace_id"])
    assert trace.outcome == Outcome.MODEL_FAILED
    assert (trace.strategy, trace.plan, trace.steps, trace.answer) == (None, (), (), None)
    assert [call.node for call in trace.calls] == ["plan"]


def test_an_earlier_answer_that_was_rejected_is_not_held_against_the_next_question(
    lines: Any, store: TraceStore
) -> None:
    revised = [*lines(synthesize="12", self_check="no"), *lines(select_strategy=[])]
    model = ScriptedChatModel.of(*revised, *lines())
    reasoner = make(model, store, InMemorySaver())
    assert reasoner.invoke(GIVEN, THREAD)["revisions"] == 1
    out = reasoner.invoke({"question": "And now?"}, THREAD)
    assert out["revisions"] == 0
    assert [message.content for message in model.asked[len(revised)]][1:] == ["And now?"]
    assert {call.revision for call in store.trace(out["trace_id"]).calls} == {0}


def test_messages_on_a_thread_are_a_conversation(adder: Any, store: TraceStore) -> None:
    reasoner = make(adder, store, InMemorySaver())
    reasoner.invoke({"messages": [("user", "What is 1 + 2?")]}, THREAD)
    out = reasoner.invoke({"messages": [("user", "What is 3 + 4?")]}, THREAD)
    assert [message.text for message in out["messages"]] == ["What is 1 + 2?", "3", "What is 3 + 4?", "7"]
    assert reasoner.invoke({"question": "What is 5 + 6?"}, THREAD)["answer"] == "11"


def test_a_new_question_is_not_taken_for_the_message_of_a_killed_run(adder: Any, store: TraceStore) -> None:
    reasoner = make(Killed(adder, at=1), store, InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        reasoner.invoke({"messages": [("user", "What is 1 + 2?")]}, THREAD)
    assert reasoner.invoke({"question": "What is 5 + 6?"}, THREAD)["answer"] == "11"


@pytest.mark.parametrize("at", range(1, 7))
def test_a_killed_run_goes_on_where_it_was(at: int, adder: Any, tmp_path: Path, saver: SqliteSaver) -> None:
    policy = Killed(adder, at)
    url = f"sqlite:///{tmp_path}/traces.db"
    with pytest.raises(KeyboardInterrupt):
        make(policy, TraceStore(url), saver).invoke(GIVEN, THREAD, durability="sync")
    store = TraceStore(url)  # what a new process has: nothing in memory
    assert [run.question.text for run in store.open_runs()] == ["What is 45 + 33?"]
    out = make(policy, store, saver).invoke(None, THREAD)
    trace = store.trace(out["trace_id"])
    assert out["answer"] == "78"
    assert [call.node for call in trace.calls] == ["plan", "select_strategy", "act", "act", "synthesize", "self_check"]
    assert policy.asked == 7  # only what was interrupted was asked again
    assert store.superseded(trace.id) == []
    assert len(store.traces(limit=None)) == 1
    assert store.open_runs() == []
    store.close()


def test_calls_of_a_node_that_is_run_again_are_superseded(lines: Any, store: TraceStore) -> None:
    script = ["", KeyboardInterrupt(), "1. Calculate with calculator.", *lines()[1:]]

    def read(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        line = script.pop(0)
        if isinstance(line, BaseException):
            raise line
        return AIMessage(line) if isinstance(line, str) else line

    reasoner = make(read, store, InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        reasoner.invoke(GIVEN, THREAD)
    trace = store.trace(reasoner.invoke(None, THREAD)["trace_id"])
    (superseded,) = store.superseded(trace.id)
    planned = trace.calls[0]
    assert (superseded.reply["content"], planned.reply["content"]) == ("", "1. Calculate with calculator.")
    assert (superseded.key.task_id, superseded.key.index) == (planned.key.task_id, planned.key.index)
    assert (superseded.key.attempt, planned.key.attempt) == (1, 2)
    assert len(trace.calls) == 6


def test_a_tool_may_ask_a_person(lines: Any, tool_call: Any, store: TraceStore) -> None:
    def confirm(question: str) -> str:
        """Asks a person."""
        return f"They said {interrupt(question)}."

    model = ScriptedChatModel.of(*lines(act=[tool_call("confirm", question="Sure?"), "The result is 78."]))
    reasoner = create_reasoner(model, [confirm], store=store, allow=["confirm"]).compile(checkpointer=InMemorySaver())
    waiting = reasoner.invoke(GIVEN, THREAD)
    assert waiting["__interrupt__"][0].value == "Sure?"
    out = reasoner.invoke(Command(resume="yes"), THREAD)
    trace = store.trace(out["trace_id"])
    assert (trace.outcome, [step.output for step in trace.steps]) == (Outcome.ANSWERED, ["They said yes."])
    assert len(trace.calls) == 6


def plain(value: Any) -> bool:
    """Whether it is JSON, or a message."""
    if isinstance(value, BaseMessage):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(plain(item) for item in value)
    return value is None or type(value) in (str, int, float, bool)


MARKED_ID = 987_654
MARKED_BYTES = MARKED_ID.to_bytes(4, "big")


def exact(adder: Any) -> Any:
    """The policy, with token ids on every reply."""

    def reply(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        tokens = Tokens(
            prompt_ids=(MARKED_ID,) * 9,
            completion_ids=(MARKED_ID,),
            logprobs=(-0.25,),
            fingerprint=Fingerprint(base="b", tokenizer="t", template="c"),
        )
        message: AIMessage = adder(messages, kwargs)
        message.response_metadata = {"tokens": tokens.model_dump(mode="json"), "model_version": "v_1"}
        return message

    return reply


def test_checkpoints_are_plain_and_without_token_ids(
    adder: Any, store: TraceStore, saver: SqliteSaver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert _msgpack.STRICT_MSGPACK_ENABLED  # by importing the package first
    reasoner = make(exact(adder), store, saver)
    question = Question(text="What is 45 + 33?", attachments=(Attachment(name="a", text="b"),))
    out = reasoner.invoke({"question": question.model_dump(mode="json")}, THREAD)
    trace = store.trace(out["trace_id"])
    assert all(call.tokens and call.tokens.prompt_ids == (MARKED_ID,) * 9 for call in trace.calls)
    assert trace.model_version == "v_1"
    history = list(reasoner.get_state_history(THREAD))
    assert len(history) == 12
    for snapshot in history:
        assert plain(snapshot.values), snapshot.values
    assert history[0].values["question"]["attachments"] == [{"name": "a", "text": "b"}]
    assert caplog.records == []  # strict checkpoints warn of what they will not rebuild
    saver.conn.commit()
    with sqlite3.connect(tmp_path / "checkpoints.db") as connection:
        rows = connection.execute("select checkpoint from checkpoints union all select value from writes").fetchall()
    assert len(rows) > 12
    assert not any(MARKED_BYTES in row[0] or b"completion_ids" in row[0] for row in rows)
    connection.close()


async def test_async_checkpoints_hold_the_same(adder: Any, store: TraceStore, tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "async.db")) as saver:
        reasoner = make(exact(adder), store, saver)
        out = await reasoner.ainvoke(GIVEN, THREAD)
        assert out["answer"] == "78"
        snapshot = await reasoner.aget_state(THREAD)
        assert plain(snapshot.values)


def test_text_that_no_store_can_hold_is_cleaned_before_the_checkpoint(
    lines: Any, tool_call: Any, store: TraceStore, saver: SqliteSaver
) -> None:
    script = lines(plan="1. Add \ud800.", act=[tool_call(expression="45 + \ud800"), "The result \x00is 78."])
    reasoner = make(ScriptedChatModel.of(*script), store, saver)
    out = reasoner.invoke({"question": "What is \ud800?"}, THREAD)
    assert out["plan"] == ["Add \ufffd."]
    assert out["steps"][0]["description"] == "calculator(45 + \ufffd)"
    values = reasoner.get_state(THREAD).values
    str(values["transcript"]).encode()  # raises where a lone surrogate is left
    assert values["conclusion"] == "The result is 78."
    assert store.trace(out["trace_id"]).outcome == Outcome.ANSWERED


def test_the_seed_of_a_call_depends_on_its_place_in_the_run_only(adder: Any, store: TraceStore) -> None:
    reasoner = make(adder, store, InMemorySaver())
    for _ in range(2):
        out = reasoner.invoke(GIVEN, THREAD, context=Context(seed=9))
        trace = store.trace(out["trace_id"])
        assert trace.calls[0].sampling.seed == derive_seed(9, trace.question.id, "plan", 0)
