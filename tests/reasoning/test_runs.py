"""A run that goes well: the way it takes, what it gives back, and the trace that it leaves."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel, ScriptedChatModel
from langgraph_ratchet.core.call import Fingerprint, Tokens, Usage
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.strategy import strategies
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

WAY = ["accept", "recall", "plan", "select_strategy", "act", "tools", "act", "synthesize", "self_check", "finish"]
ASKING = ["plan", "select_strategy", "act", "act", "synthesize", "self_check"]


def with_tokens(text: str, first_logprob: float, *, version: str | None = None) -> AIMessage:
    """A reply as a local model gives it."""
    tokens = Tokens(
        prompt_ids=(1, 2, 3),
        completion_ids=(4, 5),
        logprobs=(first_logprob, -0.5),
        fingerprint=Fingerprint(base="b", tokenizer="t", template="c"),
    )
    metadata = {"tokens": tokens.model_dump(mode="json"), "model_version": version}
    return AIMessage(text, response_metadata=metadata)


def test_the_nodes_come_in_the_order_of_the_design(lines: Any, store: TraceStore) -> None:
    reasoner = create_reasoner(ScriptedChatModel.of(*lines()), get_tools("calculator"), store=store).compile()
    updates = list(reasoner.stream({"question": "What is 45 + 33?"}, stream_mode="updates"))
    assert [node for update in updates for node in update] == WAY


def test_the_output_says_what_happened(reason: Any, lines: Any) -> None:
    out = reason(lines()).out
    assert out["answer"] == "78"
    assert isinstance(out["messages"][-1], AIMessage)
    assert out["messages"][-1].text == "78"
    assert out["outcome"] == "answered"
    assert out["error"] is None
    assert out["plan"] == ["Calculate with calculator."]
    assert out["strategy"] == "direct"
    assert out["revisions"] == 0
    assert [step["output"] for step in out["steps"]] == ["78"]
    names = {
        "messages",
        "answer",
        "confidence",
        "trace_id",
        "outcome",
        "error",
        "plan",
        "strategy",
        "steps",
        "revisions",
    }
    assert out.keys() == names


def test_the_trace_holds_the_whole_run(reason: Any, lines: Any, store: TraceStore) -> None:
    ran = reason(lines())
    trace = ran.trace
    assert [call.node for call in trace.calls] == ASKING
    assert (trace.answer, trace.outcome, trace.error) == ("78", Outcome.ANSWERED, None)
    assert (trace.plan, trace.strategy) == (("Calculate with calculator.",), "direct")
    assert (trace.model, trace.model_version, trace.question.text) == ("scripted", None, "What is 45 + 33?")
    assert 0 < trace.seconds < 60
    (step,) = trace.steps
    assert (step.number, step.tool, step.input, step.output) == (1, "calculator", {"expression": "45 + 33"}, "78")
    assert step.call_id == trace.calls[2].id  # the call that asked for it, not the one that read its result
    assert store.steps(trace.id) == [step]
    assert store.superseded(trace.id) == []
    assert store.open_runs() == []


def test_every_call_is_recorded_as_it_was_sent(reason: Any, lines: Any) -> None:
    ran = reason(lines())
    for number, call in enumerate(ran.trace.calls):
        assert [message["content"] for message in call.messages] == [
            message.content for message in ran.model.asked[number]
        ]
        assert [tool["function"]["name"] for tool in call.tools] == (["calculator"] if call.node == "act" else [])
        assert call.key.attempt == 1
        assert call.tokens is None
    asking = ran.trace.calls[2].reply["tool_calls"][0]["function"]
    assert asking == {"name": "calculator", "arguments": '{"expression": "45 + 33"}'}
    assert ran.trace.calls[3].messages[-1]["role"] == "tool"
    assert ran.trace.calls[5].reply["content"] == "yes"


def test_only_act_is_offered_the_tools(adder: Any) -> None:
    offered: list[bool] = []

    def watch(messages: Any, kwargs: dict[str, Any]) -> AIMessage:
        offered.append("tools" in kwargs)
        return adder(messages, kwargs)

    model = PolicyChatModel(policy=watch)
    create_reasoner(model, get_tools("calculator"), store=None).compile().invoke({"question": "What is 1 + 2?"})
    assert offered == [node == "act" for node in ASKING]


def test_usage_is_summed_over_the_run(reason: Any, lines: Any) -> None:
    counted = [
        AIMessage(line) if isinstance(line, str) else line.model_copy()
        for line in lines()
        if not isinstance(line, Exception)
    ]
    for number, line in enumerate(counted):
        line.usage_metadata = {"input_tokens": 10 + number, "output_tokens": 2, "total_tokens": 12 + number}
    trace = reason(counted).trace
    assert trace.calls[1].usage == Usage(input_tokens=11, output_tokens=2)
    assert trace.total_tokens == sum(12 + number for number in range(6))
    assert reason(lines()).trace.total_tokens is None  # not measured is not 0


@pytest.mark.parametrize(("verdict", "expected"), [("yes", 0.8), ("no", 0.2)])
def test_confidence_is_the_probability_of_a_yes(reason: Any, lines: Any, verdict: str, expected: float) -> None:
    script = lines(self_check=with_tokens(verdict, math.log(0.8)))
    ran = reason(script, budgets=Budgets(revisions=0))
    assert ran.out["confidence"] == ran.trace.confidence == pytest.approx(expected)
    assert ran.trace.calls[-1].tokens is not None
    assert ran.trace.calls[-1].tokens.completion_ids == (4, 5)


def test_without_log_probabilities_there_is_no_confidence(reason: Any, lines: Any) -> None:
    ran = reason(lines())
    assert ran.out["confidence"] is None
    assert ran.trace.confidence is None


def test_tokens_of_another_shape_are_another_providers(reason: Any, lines: Any) -> None:
    trace = reason(lines(plan=AIMessage("1. Add.", response_metadata={"tokens": 12}))).trace
    assert trace.answer == "78"
    assert trace.calls[0].tokens is None


def test_the_model_version_is_the_one_that_replied(reason: Any, lines: Any) -> None:
    assert reason(lines(self_check=with_tokens("yes", -0.1, version="v_1"))).trace.model_version == "v_1"
    failed = reason([with_tokens("1. Add.", -0.1, version="v_1"), ValueError("gone")]).trace
    assert (failed.outcome, failed.model_version) == (Outcome.MODEL_FAILED, "v_1")


def test_a_question_may_be_a_question_as_json(reason: Any, lines: Any) -> None:
    question = Question(type=QuestionType.MATHEMATICAL, text="What is 45 + 33?", context="Integers.")
    ran = reason(lines(), question=question.model_dump(mode="json"))
    assert ran.trace.question == question
    assert "Context:\nIntegers." in ran.asked(0)


@pytest.mark.parametrize(
    "messages",
    [
        [("user", "What is 45 + 33?")],
        [{"role": "user", "content": "What is 45 + 33?"}],
        [HumanMessage([{"type": "text", "text": "What is 45 + 33?"}])],
        [("user", "Hello"), ("assistant", "Hi"), ("user", "What is 45 + 33?")],
    ],
)
def test_a_question_may_be_messages(lines: Any, store: TraceStore, messages: list[Any]) -> None:
    reasoner = create_reasoner(ScriptedChatModel.of(*lines()), get_tools("calculator"), store=store).compile()
    out = reasoner.invoke({"messages": messages})
    assert store.trace(out["trace_id"]).question.text == "What is 45 + 33?"
    assert len(out["messages"]) == len(messages) + 1
    assert out["messages"][-1].text == "78"


def test_a_model_without_tools_needs_none(reason: Any, lines: Any) -> None:
    ran = reason(lines(act="The result is 78."), tools=[])
    assert ran.trace.answer == "78"
    assert "Tools: none." in ran.asked(0)


def test_a_plain_function_is_a_tool(reason: Any, lines: Any, tool_call: Callable[..., AIMessage]) -> None:
    def double(number: int) -> int:
        """Doubles a number."""
        return 2 * number

    script = lines(act=[tool_call("double", number=39), "The result is 78."])
    assert reason(script, tools=[double], allow=["double"]).trace.steps[0].output == "78"


def test_several_tool_calls_of_one_reply_are_steps_in_order(reason: Any, lines: Any) -> None:
    both = AIMessage(
        "Both sums.",
        tool_calls=[
            {"name": "calculator", "args": {"expression": "45 + 33"}, "id": "a"},
            {"name": "calculator", "args": {"expression": "1 + 1"}, "id": "b"},
        ],
    )
    trace = reason(lines(act=[both, "The result is 78."])).trace
    assert [(step.number, step.output) for step in trace.steps] == [(1, "78"), (2, "2")]
    assert {step.reasoning for step in trace.steps} == {"Both sums."}
    assert [message["tool_call_id"] for message in trace.calls[3].messages[-2:]] == ["a", "b"]


def test_a_strategy_can_be_given_and_is_then_not_asked_for(reason: Any, lines: Any) -> None:
    ran = reason(lines(select_strategy=[]), context=Context(strategy="inductive"))
    assert ran.trace.strategy == "inductive"
    assert strategies()["inductive"].instruction in ran.asked(1)


def test_one_strategy_leaves_nothing_to_select(reason: Any, lines: Any) -> None:
    ran = reason(lines(select_strategy=[]), strategies=["deductive"])
    assert ran.trace.strategy == "deductive"


def test_every_strategy_can_be_selected(reason: Any, lines: Any) -> None:
    assert list(strategies()) == ["abductive", "analogical", "causal", "deductive", "direct", "inductive"]
    for name in strategies():
        assert reason(lines(select_strategy=f"I choose {name.upper()}.")).trace.strategy == name


def test_sampling_is_asked_for_and_recorded(adder: Any, store: TraceStore) -> None:
    given: list[dict[str, Any]] = []

    def watch(messages: Any, kwargs: dict[str, Any]) -> AIMessage:
        given.append(kwargs)
        return adder(messages, kwargs)

    reasoner = create_reasoner(PolicyChatModel(policy=watch), get_tools("calculator"), store=store).compile()
    context = Context(temperature=0.7, seed=5, trace_id="trace_mine")
    out = reasoner.invoke({"question": "What is 1 + 2?"}, context=context)
    trace = store.trace("trace_mine")
    assert out["trace_id"] == "trace_mine"
    assert [call.sampling.temperature for call in trace.calls] == [0.7] * 6
    seeds = [call.sampling.seed for call in trace.calls]
    assert seeds == [derive_seed(5, trace.question.id, node, number) for number, node in enumerate(ASKING)]
    assert [(kwargs["temperature"], kwargs["seed"]) for kwargs in given] == [(0.7, seed) for seed in seeds]


def test_without_a_context_the_models_own_sampling_is_kept(adder: Any) -> None:
    def watch(messages: Any, kwargs: dict[str, Any]) -> AIMessage:
        assert not {"temperature", "seed"} & kwargs.keys()
        return adder(messages, kwargs)

    reasoner = create_reasoner(PolicyChatModel(policy=watch), get_tools("calculator"), store=None).compile()
    assert reasoner.invoke({"question": "What is 1 + 2?"})["answer"] == "3"


@pytest.mark.parametrize(
    ("reply", "plan"),
    [
        ("1. Add.\n2) Say it.\n\n- Check.", ["Add.", "Say it.", "Check."]),
        (
            "3.5 + 2 first\n-5 after\n**Then** stop\n12:30 at last",
            ["3.5 + 2 first", "-5 after", "**Then** stop", "12:30 at last"],
        ),
    ],
)
def test_a_plan_is_its_lines_without_their_numbers(reason: Any, lines: Any, reply: str, plan: list[str]) -> None:
    assert reason(lines(plan=reply)).out["plan"] == plan
