"""Recordings stand in for tools: what answers a call, what is the same call, and what happens where nothing answers."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_ratchet.core.errors import NotRecordedError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Approval, Step, Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.replay import ToolReplay
from langgraph_ratchet.tools.runner import ToolResult, arun_tool, run_tool
from langgraph_ratchet.tools.spec import Effect, ToolSpec, spec_of

Sent = list[tuple[str, str]]


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def send(sent: Sent) -> BaseTool:
    """A tool that must not be called again."""

    def run(to: str, text: str = "hello") -> str:
        sent.append((to, text))
        return f"sent to {to}"

    spec = ToolSpec(effects=frozenset({Effect.WRITES}), timeout_s=5, output_cap=20, trust=Trust.OWN)
    return StructuredTool.from_function(run, name="send", description="Send a mail.", metadata=spec.metadata())


def step(output: str, *, tool: str = "send", failed: bool = False, **given: Any) -> Step:
    return Step(number=1, description="", tool=tool, input=given, output=output, failed=failed, call_id="call_1")


def call(tool: BaseTool, **given: Any) -> ToolResult:
    return run_tool(tool, ToolCall(name=tool.name, args=given, id="1"))


def trace(question: str, *steps: Step) -> Trace:
    return Trace(
        id=f"trace of {question}",
        question=Question(text=question),
        model="scripted",
        model_version=None,
        strategy=None,
        plan=(),
        steps=steps,
        calls=(),
        answer=None,
        confidence=None,
        outcome=Outcome.ANSWERED,
        started_at=0.0,
        seconds=0.0,
        code_version="test",
    )


def test_a_recorded_result_answers_and_the_tool_is_not_called(send: BaseTool, sent: Sent) -> None:
    (stand_in,) = ToolReplay.of([step("sent to ann", to="ann", text="hi")]).over([send])
    assert call(stand_in, to="ann", text="hi").text == "sent to ann"
    result = asyncio.run(arun_tool(stand_in, ToolCall(name="send", args={"to": "ann", "text": "hi"}, id="1")))
    assert (result.text, result.failed) == ("sent to ann", False)
    assert sent == []


def test_a_recorded_failure_fails_in_the_same_words(send: BaseTool) -> None:
    def broken(to: str, text: str = "hello") -> str:
        raise ToolException("no such address\n" + "x" * 400)

    original = send.model_copy(update={"func": broken})
    live = call(original, to="ann")
    (stand_in,) = ToolReplay.of([step(live.text, failed=True, to="ann")]).over([send])
    assert call(stand_in, to="ann").model_dump(exclude={"seconds"}) == live.model_dump(exclude={"seconds"})


def test_an_output_that_was_cut_is_not_cut_again(send: BaseTool) -> None:
    long = send.model_copy(update={"func": lambda to, text="hello": "y" * 1_000})
    live = call(long, to="ann")
    assert "[cut: 980 characters]" in live.text
    (stand_in,) = ToolReplay.of([step(live.text, to="ann")]).over([send])
    assert call(stand_in, to="ann").text == live.text


def test_a_miss_is_an_error_that_says_what_was_called(send: BaseTool, sent: Sent) -> None:
    replay = ToolReplay.of([step("sent to ann", to="ann")])
    (stand_in,) = replay.over([send])
    with pytest.raises(
        NotRecordedError, match=r'no recording answers send\({"text":"hello","to":"bob"}\), and .*record'
    ):
        call(stand_in, to="bob")
    with pytest.raises(NotRecordedError):
        asyncio.run(arun_tool(stand_in, ToolCall(name="send", args={"to": "bob"}, id="1")))
    with pytest.raises(NotRecordedError, match="x…"):
        call(stand_in, to="x" * 10_000)
    assert sent == []


def test_repetitions_are_answered_in_their_order_and_not_beyond_it(send: BaseTool) -> None:
    recorded = [step("1 waits", to="ann"), step("sent to bob", to="bob"), step("2 wait", to="ann")]
    replay = ToolReplay.of(recorded)
    (stand_in,) = replay.over([send])
    assert [call(stand_in, to=who).text for who in ("ann", "bob", "ann")] == ["1 waits", "sent to bob", "2 wait"]
    with pytest.raises(NotRecordedError, match="more than 2 times"):
        call(stand_in, to="ann")
    (of_another_run,) = replay.over([send])
    assert call(of_another_run, to="ann").text == "1 waits"


def test_what_was_always_the_same_answers_any_number_of_repetitions(send: BaseTool) -> None:
    (stand_in,) = ToolReplay.of([step("sent", to="ann"), step("sent", to="ann")]).over([send])
    assert {call(stand_in, to="ann").text for _ in range(5)} == {"sent"}


def test_a_run_of_the_same_question_answers_first_and_then_the_first_of_any(send: BaseTool) -> None:
    first, mine = trace("Ask Ann.", step("in May", to="ann")), trace("Ask Ann again.", step("in June", to="ann"))
    replay = ToolReplay.of([first, mine, trace("Ask Bob.", step("in July", to="ann"))])
    (of_mine,) = replay.over([send], question_id=mine.question.id)
    (of_new,) = replay.over([send], question_id="question_new")
    assert (call(of_mine, to="ann").text, call(of_new, to="ann").text) == ("in June", "in May")


def test_what_is_replayed_itself_is_no_recording(send: BaseTool) -> None:
    simulated = step("sent", to="ann").model_copy(update={"replayed": True})
    (stand_in,) = ToolReplay.of([trace("q", simulated)]).over([send])
    with pytest.raises(NotRecordedError):
        call(stand_in, to="ann")


def test_a_call_that_a_person_changed_answers_what_the_model_wrote_too(send: BaseTool) -> None:
    changed = step("sent to bob", to="bob").model_copy(update={"approval": Approval.EDITED, "proposed": {"to": "ann"}})
    (stand_in,) = ToolReplay.of([changed]).over([send])
    assert {call(stand_in, to=who).text for who in ("ann", "bob")} == {"sent to bob"}


@pytest.mark.parametrize(("approval", "answers"), [(Approval.REJECTED, True), (Approval.REFUSED, False)])
def test_what_a_person_said_answers_and_that_nobody_was_there_does_not(
    send: BaseTool, approval: Approval, answers: bool
) -> None:
    said = step("error: the user rejected it", failed=True, to="ann").model_copy(update={"approval": approval})
    (stand_in,) = ToolReplay.of([trace("q", said)]).over([send])
    if answers:
        assert call(stand_in, to="ann").text == said.output
    else:
        with pytest.raises(NotRecordedError):
            call(stand_in, to="ann")


def test_a_tool_that_declares_no_effects_is_used_as_it_is(send: BaseTool) -> None:
    (calculator,) = get_tools("calculator")
    assert ToolReplay().over([calculator, send])[0] is calculator
    assert call(ToolReplay().over([calculator])[0], expression="2 + 2").text == "4"


@pytest.mark.parametrize("effect", Effect)
def test_any_effect_at_all_is_stood_in_for(send: BaseTool, sent: Sent, effect: Effect) -> None:
    spec = ToolSpec(effects=frozenset({effect}), timeout_s=5, output_cap=20, trust=Trust.OWN)
    with pytest.raises(NotRecordedError):
        call(ToolReplay().over([send.model_copy(update={"metadata": spec.metadata()})])[0], to="ann")
    with pytest.raises(NotRecordedError):  # declares nothing, and so may do anything
        call(ToolReplay().over([send.model_copy(update={"metadata": None})])[0], to="ann")
    assert sent == []


def test_a_stand_in_looks_like_its_tool_and_acts_on_nothing(send: BaseTool) -> None:
    (stand_in,) = ToolReplay().over([send.model_copy(update={"metadata": None})])
    assert convert_to_openai_tool(stand_in) == convert_to_openai_tool(send)
    assert spec_of(stand_in).effects == frozenset()
    assert spec_of(stand_in).trust is Trust.UNTRUSTED  # like the tool that declares nothing


def test_arguments_that_the_schema_refuses_are_refused_by_the_schema(send: BaseTool) -> None:
    (stand_in,) = ToolReplay().over([send])
    for given in ({"too": "ann"}, {}, {"to": ["ann"]}):
        live, again = call(send, **given), call(stand_in, **given)
        assert (again.failed, again.text) == (True, live.text)


class TestSimulator:
    """A function of the user's answers what was not recorded."""

    def test_it_is_asked_after_the_recordings(self, send: BaseTool, sent: Sent) -> None:
        asked: list[tuple[str, Mapping[str, Any]]] = []

        def simulate(tool: str, arguments: Mapping[str, Any]) -> str:
            asked.append((tool, arguments))
            return f"as if sent to {arguments['to']}"

        (stand_in,) = ToolReplay.of([step("sent to ann", to="ann")], simulator=simulate).over([send])
        assert (call(stand_in, to="ann").text, call(stand_in, to="bob").text) == ("sent to ann", "as if sent to bob")
        assert [(tool, arguments["to"]) for tool, arguments in asked] == [("send", "bob")]
        assert sent == []

    @pytest.mark.parametrize(
        ("simulate", "said"),
        [
            (lambda tool, arguments: "z" * 1_000, "z" * 60),
            (lambda tool, arguments: arguments["nothing"], "error: send failed: KeyError: 'nothing'"),
        ],
    )
    def test_its_result_is_a_tools_result(self, send: BaseTool, simulate: Callable[..., str], said: str) -> None:
        (stand_in,) = ToolReplay().over([send], simulate)
        assert call(stand_in, to="ann").text.startswith(said)
        assert len(call(stand_in, to="ann").text) < 100

    def test_where_it_knows_nothing_nothing_answers(self, send: BaseTool) -> None:
        with pytest.raises(NotRecordedError):
            call(ToolReplay(simulator=lambda tool, arguments: None).over([send])[0], to="ann")

    def test_a_failure_can_be_simulated(self, send: BaseTool) -> None:
        def full(tool: str, arguments: Mapping[str, Any]) -> str:
            raise ToolException("the mailbox is full")

        result = call(ToolReplay().over([send], full)[0], to="ann")
        assert (result.text, result.failed) == ("error: the mailbox is full", True)
