"""Naughty texts as arguments and results of a tool, through the whole graph: asked, answered, recorded, read back."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.tools.conformance import NAUGHTY
from langgraph_ratchet.tools.spec import declare


def test_they_arrive_as_they_are_and_are_recorded_so(
    reason: Callable[..., Any], tool_call: Callable[..., AIMessage], lines: Callable[..., list[Any]]
) -> None:
    texts = sorted(NAUGHTY, key=len)[:-1]  # each call is recorded with all that was said before: no 5 MB in each

    def say(text: str) -> str:
        """Say it again."""
        return text

    tool = declare(say, effects=(), trust=Trust.UNTRUSTED, output_cap=10_000)
    acts = [*(tool_call("say", text=text) for text in texts), "All said."]
    ran = reason(lines(act=acts), tools=[tool], budgets=Budgets(calls=100, tool_calls=100))
    assert ran.trace.outcome == Outcome.ANSWERED
    assert [step.input for step in ran.trace.steps] == [{"text": clean_text(text)} for text in texts]
    short = [text for text in texts if len(text) <= 10_000]
    assert [step.output for step in ran.trace.steps][: len(short)] == [clean_text(text) for text in short]
    assert "[cut: " in str(ran.trace.steps[-1].output)
    said = _results(ran.model.asked[len(texts) + 2])
    assert said == [step.output for step in ran.trace.steps]


def _results(messages: Sequence[BaseMessage]) -> list[str]:
    return [str(message.content) for message in messages if isinstance(message, ToolMessage)]
