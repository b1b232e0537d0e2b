"""How a run is put into words for the model. Every node that shows the question or the work does it through here."""

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.reasoning.state import ReasoningState


def question_text(state: ReasoningState) -> str:
    """The question with its context, what memory gave, and why an earlier answer was rejected."""
    question = Question.model_validate(state["question"])
    parts = [question.text]
    if question.context:
        parts.append(f"Context:\n{question.context}")
    if state.get("recalled"):
        parts.append("From memory, unchecked:\n" + "\n".join(f"- {text}" for text in state["recalled"]))
    if state.get("feedback"):
        parts.append(state["feedback"])
    return "\n".join(parts)


def numbered(lines: Sequence[str]) -> str:
    """Lines with their numbers, from 1."""
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def plan_text(state: ReasoningState) -> str:
    """The question and the plan."""
    return f"{question_text(state)}\nPlan:\n{numbered(state.get('plan', []))}"


def work_text(state: ReasoningState) -> str:
    """The question, the steps since the last plan, and the conclusion."""
    lines = [_step_text(step) for step in state.get("steps", [])[state.get("planned_at", 0) :]]
    if state.get("conclusion"):
        lines.append(state["conclusion"])
    return f"{question_text(state)}\nWork:\n{numbered(lines)}"


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """The values of a tool call's arguments, joined: `add, 2024-03-05, 45 days`."""
    return ", ".join(str(value) for value in arguments.values())


def _step_text(step: Mapping[str, Any]) -> str:
    verb = "failed:" if step["failed"] else "found:" if step["trust"] == Trust.UNTRUSTED else "="
    return f"{step['tool']}({arguments_text(step['input'] or {})}) {verb} {step['output']}"
