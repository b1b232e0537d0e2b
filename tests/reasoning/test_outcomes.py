"""A run that goes wrong ends with an outcome and a trace, never with an exception."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import UNTIMED, Budgets
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.spec import ToolSpec, declare
from langgraph_ratchet.traces.store import TraceStore

ASKING = {"plan": 0, "select_strategy": 1, "act": 2, "synthesize": 4, "self_check": 5}
"""The first call of each node in a good run."""


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set when the test is over, so that a hanging tool's thread ends."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("node", ASKING)
def test_a_model_that_raises_ends_the_run_where_it_was(node: str, reason: Any, lines: Any) -> None:
    ran = reason([*lines()[: ASKING[node]], ValueError("the server is on \ud800 fire")])
    assert ran.trace.outcome == Outcome.MODEL_FAILED
    assert ran.trace.answer is ran.out["answer"] is ran.out["confidence"] is None
    failed = ran.trace.calls[-1]
    assert (failed.node, failed.reply, failed.usage) == (node, None, None)
    assert failed.error == "ValueError: the server is on \ufffd fire"
    assert failed.messages[0]["content"] == ran.model.asked[-1][0].content
    assert len(ran.trace.calls) == ASKING[node] + 1
    assert ran.out["error"] == ran.trace.error == f"the chat model failed in {node}: {failed.error}"
    assert ran.out["messages"][-1].text == f"No answer (model_failed): {ran.trace.error}"


def _broken(expression: str) -> str:
    """Calculates."""
    raise ZeroDivisionError("not \ud800 today")


def _huge(expression: str) -> str:
    """Calculates."""
    return "9" * 10_000_000


broken = declare(StructuredTool.from_function(_broken, name="broken"), effects=())
huge = declare(StructuredTool.from_function(_huge, name="huge"), effects=())


def hanging(release: threading.Event) -> BaseTool:
    def wait(expression: str) -> str:
        release.wait(20)
        return "late"

    spec = ToolSpec(timeout_s=0.05, output_cap=100, trust=Trust.OWN)
    return StructuredTool.from_function(wait, name="hanging", description="Waits.", metadata=spec.metadata())


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("broken", {"expression": "1"}, "error: broken failed: ZeroDivisionError: not \ufffd today"),
        ("hanging", {"expression": "1"}, "error: hanging gave no result in 0.05 seconds"),
        ("wheel", {}, "error: there is no tool called 'wheel'; tools: calculator, broken, hanging"),
        ("calculator", {"formula": "1"}, "error: calculator has no argument 'formula'; it takes expression"),
        ("calculator", {}, "error: bad arguments for calculator"),
        ("calculator", {"expression": "1 +"}, "error:"),
    ],
)
def test_a_tool_that_fails_is_fed_back_and_the_run_goes_on(
    name: str, arguments: Any, says: str, reason: Any, lines: Any, tool_call: Any, release: threading.Event
) -> None:
    script = lines(act=[tool_call(name, **arguments), tool_call(expression="45 + 33"), "The result is 78."])
    ran = reason(script, tools=[*get_tools("calculator"), broken, hanging(release)])
    assert (ran.trace.outcome, ran.trace.answer) == (Outcome.ANSWERED, "78")
    assert [step.failed for step in ran.trace.steps] == [True, False]
    assert ran.trace.steps[0].output.startswith(says)
    told = ran.model.asked[3][-1]
    assert (told.content, told.status) == (ran.trace.steps[0].output, "error")
    assert f"1. {name}({', '.join(arguments.values())}) failed: {says}" in ran.asked(5)


def test_an_output_of_ten_megabytes_is_cut(reason: Any, lines: Any, tool_call: Any) -> None:
    ran = reason(lines(act=[tool_call("huge", expression="1"), "The result is 78."]), tools=[huge])
    assert ran.trace.steps[0].output.endswith("… [cut: 9992000 characters]")
    assert not ran.trace.steps[0].failed
    assert max(len(ran.asked(call)) for call in range(6)) < 10_000


def test_three_failures_in_a_row_end_the_run(reason: Any, lines: Any, tool_call: Any) -> None:
    ran = reason(lines(act=[tool_call("broken", expression="1")] * 3), tools=[broken])
    assert ran.trace.outcome == Outcome.TOOL_FAILED
    assert ran.trace.error == "3 tool calls failed one after another"
    assert [step.failed for step in ran.trace.steps] == [True] * 3
    assert len(ran.model.asked) == 5


def test_failures_that_are_not_in_a_row_do_not(reason: Any, lines: Any, tool_call: Any) -> None:
    bad, good = tool_call("broken", expression="1"), tool_call(expression="45 + 33")
    script = lines(act=[bad, bad, good, bad, bad, good, "The result is 78."])
    assert reason(script, tools=[*get_tools("calculator"), broken]).trace.outcome == Outcome.ANSWERED


_STRATEGIES = "Reply with exactly one of: abductive, analogical, causal, deductive, direct, inductive."
UNREADABLE = [
    ("plan", "", "Write at least one numbered line."),
    ("plan", "1.\n2. ", "Write at least one numbered line."),
    ("select_strategy", "astrology", _STRATEGIES),
    ("select_strategy", "direct or deductive", _STRATEGIES),
    ("act", "", "Call a tool with valid JSON arguments, or say the result."),
    ("synthesize", " \n", "Reply with the answer only."),
    ("self_check", "perhaps", "Reply yes, or no and the reason."),
    ("self_check", "Not sure", "Reply yes, or no and the reason."),
]


@pytest.mark.parametrize(("node", "reply", "wanted"), UNREADABLE)
def test_an_unreadable_reply_is_fed_back_once(node: str, reply: str, wanted: str, reason: Any, lines: Any) -> None:
    at, good = ASKING[node], lines()
    ran = reason([*good[:at], reply, *good[at:]])
    assert (ran.trace.outcome, ran.trace.answer) == (Outcome.ANSWERED, "78")
    again = ran.model.asked[at + 1]
    assert again[:2] == ran.model.asked[at]
    assert again[2].content == (reply.strip() or "(empty)")
    assert again[3].content.endswith(wanted)
    assert [call.node for call in ran.trace.calls[at : at + 2]] == [node, node]
    assert [call.key.index for call in ran.trace.calls[at : at + 2]] == [0, 1]


@pytest.mark.parametrize(("node", "reply", "wanted"), UNREADABLE)
def test_a_second_unreadable_reply_ends_the_run(node: str, reply: str, wanted: str, reason: Any, lines: Any) -> None:
    at = ASKING[node]
    ran = reason([*lines()[:at], reply, reply])
    assert ran.trace.outcome == Outcome.MALFORMED_REPLY
    assert ran.trace.error == f"2 replies could not be read. Wanted: {wanted}"
    assert len(ran.trace.calls) == at + 2
    assert ran.trace.answer is None


def invalid_call(text: str = "") -> AIMessage:
    fault = {
        "name": "calculator",
        "args": '{"expression": "45 +',
        "id": "c",
        "error": "no JSON",
        "type": "invalid_tool_call",
    }
    return AIMessage(text, invalid_tool_calls=[fault])


@pytest.mark.parametrize(("text", "shown"), [("", '{"expression": "45 +'), ("Adding.", "Adding.")])
def test_a_tool_call_that_is_not_json_is_fed_back(
    text: str, shown: str, reason: Any, lines: Any, tool_call: Any
) -> None:
    script = lines(act=[invalid_call(text), tool_call(expression="45 + 33"), "The result is 78."])
    ran = reason(script)
    assert (ran.trace.outcome, ran.trace.answer) == (Outcome.ANSWERED, "78")
    written, answered = ran.model.asked[3][2:]
    assert written.content == shown
    assert "could not be read (calculator: no JSON)" in answered.content
    # What the model wrote is in the record, though it is no tool call.
    assert ran.trace.calls[2].reply["content"].endswith('{"expression": "45 +')
    assert ran.trace.calls[2].reply["content"].startswith(shown)


def test_a_second_one_ends_the_run(reason: Any, lines: Any) -> None:
    ran = reason(lines(act=[invalid_call(), invalid_call()]))
    assert ran.trace.outcome == Outcome.MALFORMED_REPLY
    assert ran.trace.steps == ()


def counted(line: Any) -> AIMessage:
    message = AIMessage(line) if isinstance(line, str) else line.model_copy()
    message.usage_metadata = {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10}
    return message


@pytest.mark.parametrize(
    ("budgets", "outcome", "asked", "says"),
    [
        (Budgets(calls=3), Outcome.OUT_OF_STEPS, 3, "the run used 3 of 3 model calls"),
        (Budgets(calls=0), Outcome.OUT_OF_STEPS, 0, "the run used 0 of 0 model calls"),
        (Budgets(tool_calls=0), Outcome.OUT_OF_TOOL_CALLS, 0, "the run used 0 of 0 tool calls"),
        (Budgets(tool_calls=1), Outcome.OUT_OF_TOOL_CALLS, 3, "the run used 1 of 1 tool calls"),
        (Budgets(tokens=35), Outcome.OUT_OF_TOKENS, 4, "the run used 40 of 35 tokens"),
        (Budgets(seconds=0), Outcome.OUT_OF_TIME, 0, "of 0 seconds"),
    ],
)
def test_each_budget_ends_the_run(
    budgets: Budgets, outcome: Outcome, asked: int, says: str, reason: Any, lines: Any
) -> None:
    ran = reason([counted(line) for line in lines()], budgets=budgets)
    assert ran.trace.outcome == outcome
    assert says in ran.trace.error
    assert len(ran.model.asked) == len(ran.trace.calls) == asked
    assert ran.out["answer"] is None
    assert ran.out["messages"][-1].text.startswith(f"No answer ({outcome.value}): the run used")


@pytest.mark.parametrize(
    ("budgets", "outcome", "calls"),
    [(Budgets(seconds=250), Outcome.OUT_OF_TIME, 3), (UNTIMED, Outcome.ANSWERED, 6)],
    ids=["timed", "untimed"],
)
def test_time_runs_out_between_calls(
    budgets: Budgets, outcome: Outcome, calls: int, adder: Any, store: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, clock = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: clock() + late[0])

    def slow(messages: Any, kwargs: Any) -> AIMessage:
        late[0] += 100
        return adder(messages, kwargs)

    model = PolicyChatModel(policy=slow)
    reasoner = create_reasoner(model, get_tools("calculator"), store=store, budgets=budgets).compile()
    trace = store.trace(reasoner.invoke({"question": "What is 1 + 2?"})["trace_id"])
    assert trace.outcome == outcome
    assert len(trace.calls) == calls


def test_the_time_of_a_node_that_asks_twice_is_counted_once(
    adder: Any, store: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, clock = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: clock() + late[0])

    def slow(messages: Any, kwargs: Any) -> AIMessage:
        late[0] += 100
        return AIMessage("") if late[0] == 100 else adder(messages, kwargs)

    model, budgets = PolicyChatModel(policy=slow), Budgets(seconds=250)
    reasoner = create_reasoner(model, get_tools("calculator"), store=store, budgets=budgets).compile()
    trace = store.trace(reasoner.invoke({"question": "What is 1 + 2?"})["trace_id"])
    assert [call.node for call in trace.calls] == ["plan", "plan", "select_strategy"]


def test_steps_that_were_taken_before_a_limit_are_kept(reason: Any, lines: Any, store: TraceStore) -> None:
    calls = [{"name": "calculator", "args": {"expression": f"1 + {n}"}, "id": str(n)} for n in range(3)]
    ran = reason(lines(act=AIMessage("", tool_calls=calls)), budgets=Budgets(tool_calls=2))
    assert ran.trace.outcome == Outcome.OUT_OF_TOOL_CALLS
    assert [step.output for step in ran.trace.steps] == ["1", "2"]
    assert store.steps(ran.trace.id) == list(ran.trace.steps)


def test_an_answer_that_nobody_could_check_is_not_given(reason: Any, lines: Any) -> None:
    ran = reason(lines(), budgets=Budgets(calls=5))
    assert ran.trace.outcome == Outcome.OUT_OF_STEPS
    assert ran.trace.answer is None
