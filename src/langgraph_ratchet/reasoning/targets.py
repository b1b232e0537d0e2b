"""Whether the place that a call goes to stands in what a run was given or has read, or was made up by the model.

A model that does what a page says could put what it knows into a URL and fetch it. A place counts as given when it
stands, whole, in the question or in what a tool brought in from outside. What a tool only computed from the model's own
arguments, or repeats of them, gives nothing.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import unquote

from langchain_core.messages import ToolCall

from langgraph_ratchet.core.ids import clean_json
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Approval, Step, Trust
from langgraph_ratchet.reasoning.state import ReasoningState

_INSIDE = r"[A-Za-z0-9\-_~/#@$&*+%]"
"""What goes on within a place: a part of one is another one, that the model has chosen."""
_NOT_MADE = (Approval.REJECTED, Approval.REFUSED)


def made_up_targets(names: Collection[str], call: ToolCall, state: ReasoningState) -> list[str]:
    """Places in the arguments `names` of `call` that nothing has given, in order."""
    if not names:
        return []
    question = Question.model_validate(state["question"])
    steps = [Step.model_validate(step) for step in state.get("steps", [])[state.get("first_step", 0) :]]
    return [
        place
        for name in sorted(names)
        for place in _texts(clean_json(call["args"].get(name)))
        if not any(_stands(place, text) for text in (question.text, question.context))
        and not any(_gives(step, place) or _went_there(step, call["name"], name, place) for step in steps)
    ]


def _gives(step: Step, place: str) -> bool:
    """Whether the step brought `place` in. An error is in the tool's words, on the arguments that it got."""
    if step.failed or step.trust is not Trust.UNTRUSTED or not _stands(place, step.output or ""):
        return False
    return not any(_normal(place) in _normal(text) for text in _texts(step.input))


def _went_there(step: Step, tool: str, name: str, place: str) -> bool:
    """Whether the run has been at `place` before: a page is read part by part."""
    made = step.tool == tool and step.approval not in _NOT_MADE
    return made and place in _texts((step.input or {}).get(name))


def _stands(place: str, text: str) -> bool:
    """Whether `place` stands in `text` whole, with or without a mark that ends a sentence."""
    if place not in text:
        return False
    after = rf"(?!{_INSIDE}|[.:?!=]+{_INSIDE})"
    return re.search(rf"(?<!{_INSIDE}){re.escape(place)}{after}", text) is not None


def _normal(text: str) -> str:
    """Without what a tool may add to an address or change in it when it repeats it."""
    return re.sub(r"^[a-z][a-z0-9+.-]*:/*", "", unquote(text).casefold()).strip().rstrip("/")


def _texts(value: Any) -> Iterator[str]:
    """The texts in an argument, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)
