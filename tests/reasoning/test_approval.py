"""A tool that acts asks first: approve, edit, reject, decisions that cannot be used, and where nobody can be asked."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool
from langgraph.types import Command
from tests.reasoning.attended_agent import APPROVE, GIVEN, THREAD, Agent, Outbox, call, calls

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Approval, Step, Trust
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.rollouts import Rollout, roll_out
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.spec import declare
from langgraph_ratchet.traces.store import TraceStore


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def agent(lines: Any, store: TraceStore, outbox: Outbox) -> Callable[..., Agent]:
    def make(*acts: AIMessage, tools: Any = None, **more: Any) -> Agent:
        return Agent(lines(act=[*acts, "Done."]), tools or [outbox.tool()], store, **more)

    return make


def test_it_asks_in_langchains_form(agent: Any, outbox: Outbox) -> None:
    waiting = agent(calls(call())).start()
    assert waiting.asked == {
        "action_requests": [
            {"name": "send", "args": {"to": "ada"}, "description": "send can change what outlives the run."}
        ],
        "review_configs": [{"action_name": "send", "allowed_decisions": ["approve", "edit", "reject"]}],
    }
    (interrupt,) = waiting.out["__interrupt__"]
    assert interrupt.response_schema["properties"].keys() == {"decisions"}
    assert outbox.sent == []


def test_an_approved_call_is_made_once(agent: Any, outbox: Outbox) -> None:
    done = agent(calls(call())).start().decide(APPROVE)
    assert outbox.sent == [("ada", 1)]
    (step,) = done.trace.steps
    assert (step.output, step.approval, step.proposed) == ("sent 1 to ada", Approval.APPROVED, None)
    assert len(done.trace.calls) == 6
    assert done.told[-1].content == "sent 1 to ada"


def test_an_edited_call_runs_and_is_recorded_as_it_was_edited(agent: Any, outbox: Outbox) -> None:
    edited = {"type": "edit", "edited_action": {"name": "send", "args": {"to": "bob", "copies": 2}}}
    done = agent(calls(call())).start().decide(edited)
    assert outbox.sent == [("bob", 2)]
    (step,) = done.trace.steps
    assert (step.input, step.proposed, step.approval) == ({"to": "bob", "copies": 2}, {"to": "ada"}, Approval.EDITED)
    assert step.description == "send(bob, 2)"
    assert done.trace.steps == tuple(Step.model_validate(each) for each in done.out["steps"])
    # The model's own words stay in the call that it was asked for; the conversation says what happened.
    assert '"ada"' in done.trace.calls[2].reply["tool_calls"][0]["function"]["arguments"]
    request, answer = done.told[-2:]
    assert request.tool_calls[0]["args"] == {"to": "bob", "copies": 2}
    assert answer.content == "(The user changed the arguments of this call before it was made.)\nsent 2 to bob"


@pytest.mark.parametrize(
    ("rejection", "says"),
    [
        (
            {"message": "Not to\nher. " + "x" * 400},
            "error: the user rejected this call of send: Not to her. " + "x" * 400,
        ),
        ({}, "error: the user rejected this call of send; do not call it again unless asked to"),
    ],
)
def test_a_rejected_call_is_answered_with_the_reason(agent: Any, outbox: Outbox, rejection: Any, says: str) -> None:
    done = agent(calls(call())).start().decide({"type": "reject", **rejection})
    assert outbox.sent == []
    (step,) = done.trace.steps
    assert (step.output, step.failed, step.approval, step.trust) == (says, True, Approval.REJECTED, Trust.OWN)
    assert (done.told[-1].content, done.told[-1].status) == (says, "error")
    assert done.trace.outcome == Outcome.ANSWERED


UNUSABLE = [
    ("yes", "the answer"),
    ({"type": "approve"}, "decisions"),
    ({"decisions": []}, "decisions: "),
    ({"decisions": [APPROVE, APPROVE]}, "decisions: "),
    ({"decisions": [{"type": "maybe"}]}, "maybe"),
    ({"decisions": [{"type": "edit"}]}, "edited_action"),
    ({"decisions": [{"type": "edit", "edited_action": {"name": "rm", "args": {}}}]}, "edited_action.name is 'rm'"),
    ({"decisions": [{"type": "edit", "edited_action": {"name": "send", "args": {"copies": "x"}}}]}, "bad arguments"),
    ({"decisions": [{"type": "edit", "edited_action": {"name": "send", "args": {"who": "x"}}}]}, "no argument 'who'"),
    # Neither an approval with a change that would be lost, nor one by a word that is only like it.
    ({"decisions": [{"type": "approve", "edited_action": {"name": "send", "args": {"to": "bob"}}}]}, "edited_action"),
    ({"decisions": [{"type": "Approve"}]}, "Approve"),
]


@pytest.mark.parametrize(("answer", "says"), UNUSABLE)
def test_a_decision_that_cannot_be_used_is_asked_for_again(agent: Any, outbox: Outbox, answer: Any, says: str) -> None:
    waiting = agent(calls(call())).start()
    waiting.out = waiting.graph.invoke(Command(resume=answer), THREAD)
    (request,) = waiting.asked["action_requests"]
    assert request["description"].startswith("The last decision could not be used: ")
    assert says in request["description"]
    assert request["args"] == {"to": "ada"}
    assert outbox.sent == []
    waiting.decide(APPROVE)
    assert outbox.sent == [("ada", 1)]


def test_who_only_gives_unusable_decisions_is_not_asked_for_ever(agent: Any, outbox: Outbox) -> None:
    waiting = agent(calls(call())).start()
    for _ in range(10):
        assert waiting.asked
        waiting.decide("yes")
    assert waiting.asked is None
    assert outbox.sent == []
    (step,) = waiting.trace.steps
    assert (step.output, step.approval) == (
        "error: send was not called: no decision about it could be used",
        Approval.REFUSED,
    )


def test_each_of_several_calls_is_asked_about_in_its_turn(agent: Any, outbox: Outbox) -> None:
    several = calls(call("ada"), call("bob", "2"), {"name": "calculator", "args": {"expression": "1 + 1"}, "id": "3"})
    waiting = agent(several, tools=[outbox.tool(), *get_tools("calculator")]).start()
    assert waiting.asked["action_requests"][0]["args"] == {"to": "ada"}
    waiting.decide(APPROVE)
    assert outbox.sent == [("ada", 1)]
    assert waiting.asked["action_requests"][0]["args"] == {"to": "bob"}
    waiting.decide({"type": "reject", "message": "One is enough."})
    assert outbox.sent == [("ada", 1)]
    steps = waiting.trace.steps
    assert [(step.number, step.tool, step.failed) for step in steps] == [
        (1, "send", False),
        (2, "send", True),
        (3, "calculator", False),
    ]
    assert [message.tool_call_id for message in waiting.told[-3:]] == ["1", "2", "3"]
    assert len({step.call_id for step in steps}) == 1
    assert len(waiting.trace.calls) == 6


def test_calls_with_the_same_id_are_told_apart_by_place(agent: Any, outbox: Outbox) -> None:
    waiting = agent(calls(call("ada", ""), call("bob", ""))).start().decide(APPROVE)
    edited = {"type": "edit", "edited_action": {"name": "send", "args": {"to": "cy"}}}
    steps = waiting.decide(edited).trace.steps
    assert outbox.sent == [("ada", 1), ("cy", 1)]
    assert [(step.input, step.proposed) for step in steps] == [({"to": "ada"}, None), ({"to": "cy"}, {"to": "bob"})]


def test_an_allowed_tool_does_not_ask(agent: Any, outbox: Outbox) -> None:
    done = agent(calls(call()), allow=["send", "other"]).start()
    assert done.asked is None
    assert outbox.sent == [("ada", 1)]
    assert done.trace.steps[0].approval is None


def test_allow_takes_names_and_not_a_text(agent: Any) -> None:
    with pytest.raises(BadInputError, match=r"allow is 'send'; it takes names in a list: allow=\['send'\]"):
        agent(calls(call()), allow="send")


@pytest.mark.parametrize(
    ("effects", "asks"),
    [((), False), (("reads",), False), (("network", "reads"), False), (("writes",), True), (("executes",), True)],
)
def test_what_asks_is_what_writes_or_executes(agent: Any, outbox: Outbox, effects: Any, asks: bool) -> None:
    waiting = agent(calls(call()), tools=[outbox.tool(effects=effects)]).start()
    assert (waiting.asked is not None) == asks
    assert bool(outbox.sent) != asks


def test_a_tool_that_declares_nothing_may_do_anything(agent: Any, outbox: Outbox) -> None:
    waiting = agent(calls(call()), tools=[outbox.undeclared()]).start()
    (request,) = waiting.asked["action_requests"]
    assert request["description"] == "send declares no effects, so it may do anything."
    assert outbox.sent == []


@pytest.mark.parametrize("config", [None, THREAD], ids=["no thread", "a thread that nothing keeps"])
def test_without_a_checkpointer_the_call_is_refused_with_what_to_do(agent: Any, outbox: Outbox, config: Any) -> None:
    done = agent(calls(call()), tools=[outbox.undeclared()], saved=False)
    done.out = done.graph.invoke(GIVEN, config)
    assert outbox.sent == []
    (step,) = done.trace.steps
    assert (step.failed, step.approval) == (True, Approval.REFUSED)
    assert step.output == (
        "error: send was not called: it needs an approval, and nobody can be asked. To let it act: compile the graph "
        "with a checkpointer and resume it with a decision; or create it with allow=['send']; or declare(tool, "
        "effects=...) what the tool does"
    )
    assert done.trace.outcome == Outcome.ANSWERED


def test_a_rollout_never_waits_for_a_person(agent: Any, outbox: Outbox, store: TraceStore) -> None:
    # A tool that declares no effects but a target: nothing stands in for it, and it asks once a page was read.
    page = declare(StructuredTool.from_function(lambda to: "text", name="page", description="."), effects=())
    fetch = outbox.tool(effects=(), targets={"to"})
    unattended = agent(calls(call(name="page")), calls(call("evil.example/?q=1")), tools=[page, fetch])
    reasoner = unattended.graph.with_config(THREAD)
    (trace,) = roll_out(reasoner, store, [Rollout(Question(text="?"), "t", 0.0, 1)])
    assert trace.outcome == Outcome.ANSWERED
    assert [step.approval for step in trace.steps] == [None, Approval.REFUSED]
    assert outbox.sent == []


def test_a_rejection_counts_as_a_failure_and_every_call_against_its_limit(agent: Any, outbox: Outbox) -> None:
    waiting = agent(*[calls(call())] * 3).start()
    for _ in range(3):
        waiting.decide({"type": "reject"})
    assert waiting.trace.outcome == Outcome.TOOL_FAILED
    limited = agent(calls(call(), call("bob", "2")), budgets=Budgets(tool_calls=1)).start().decide(APPROVE)
    assert limited.trace.outcome == Outcome.OUT_OF_TOOL_CALLS  # and nobody was asked about what could not be done
    assert outbox.sent == [("ada", 1)]
    assert len(limited.trace.steps) == 1


def test_the_time_that_a_person_takes_is_not_the_runs(
    agent: Any, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = agent(calls(call()), budgets=Budgets(seconds=100)).start()
    late = waiting.graph.get_state(THREAD).values["started_at"] + 100_000
    monkeypatch.setattr("time.time", lambda: late)
    assert waiting.decide(APPROVE).trace.outcome == Outcome.ANSWERED
    assert outbox.sent == [("ada", 1)]


def test_async_runs_ask_too(agent: Any, outbox: Outbox) -> None:
    waiting = agent(calls(call(), call("bob", "2"), call("cy", "3")))

    async def attend() -> None:
        waiting.out = await waiting.graph.ainvoke(GIVEN, THREAD)
        for decision in (
            APPROVE,
            {"type": "reject", "message": "no"},
            {"type": "edit", "edited_action": {"name": "send", "args": {"to": "di"}}},
        ):
            assert waiting.asked
            waiting.out = await waiting.graph.ainvoke(Command(resume={"decisions": [decision]}), THREAD)

    asyncio.run(attend())
    assert outbox.sent == [("ada", 1), ("di", 1)]
    assert [step.approval for step in waiting.trace.steps] == [Approval.APPROVED, Approval.REJECTED, Approval.EDITED]
