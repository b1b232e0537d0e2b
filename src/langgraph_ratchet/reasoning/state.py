"""What flows through the reasoning graph: ids and plain data, so that any checkpointer can hold it."""

import operator
from typing import Annotated, Any

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

_described = with_config(ConfigDict(use_attribute_docstrings=True))
"""Puts the string under each field into the schema, from which Studio makes its forms."""


_messages = TypeAdapter(list[AnyMessage])


def _as_messages(_before: list[AnyMessage], given: list[Any]) -> list[AnyMessage]:
    """`given` in place of what was there; what a person has edited in Studio comes as JSON."""
    return _messages.validate_python(given)


@_described
class ReasoningInput(TypedDict, total=False):
    """What a caller gives: `messages` or a `question`."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation; its last message, if it is a human's, is the question."""
    question: dict[str, Any] | str
    """Instead of messages: the question's text, or a `Question` as JSON with text, type, context and attachments."""


@_described
class ReasoningOutput(TypedDict, total=False):
    """What a caller gets, and what Studio shows as the run goes on."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation, with the answer as its last message."""
    answer: str | None
    """The answer only; `None` while there is none, and when the run ended without one."""
    confidence: float | None
    """The model's own probability that the answer is supported; `None` without log-probabilities."""
    trace_id: str
    """Id of the run's record in the trace store: `ratchet traces show ID`."""
    outcome: str
    """One of `core.trace.Outcome`."""
    error: str | None
    """Why there is no answer; `None` when there is one."""
    plan: list[str]
    """One step of the work a line."""
    strategy: str | None
    """`None` until one is selected."""
    steps: Annotated[list[dict[str, Any]], operator.add]
    """Each call of a tool with its result: `core.step.Step` as JSON."""
    revisions: int
    """How often the self-check has sent the run back."""


class Spent(TypedDict):
    """What the run has used of its budgets so far."""

    calls: int
    tool_calls: int
    tokens: int
    failures: int
    """Tool calls that failed one after another, up to now."""
    seconds: float
    """Wall time in nodes, so without the time that a run waits for a person."""


class ReasoningState(ReasoningInput, ReasoningOutput, total=False):
    """All of it; what is not input or output is the graph's own."""

    started_at: float
    """Unix time, seconds."""
    accepted_message: str | None
    """Id of the last message when the run began: a later run on the thread does not take it for its question."""
    recalled: list[str]
    """Texts from memory, each with what it is and how far it is trusted, if memory says so."""
    recalled_untrusted: bool
    """Whether any of these texts is other people's."""
    first_step: int
    """How many steps the thread held before this run: 0 unless it is used for several questions."""
    first_call: int
    """Likewise for `calls`."""
    planned_at: int
    """How many steps had been taken when the current plan was made."""
    transcript: Annotated[list[AnyMessage], _as_messages]
    """The conversation of `act` with its tools since the last plan."""
    acting_call: str
    """Id of the call behind the last message of the transcript that is the model's."""
    proposed: list[dict[str, Any]]
    """The tool calls of that message as the model wrote them: in the transcript a person may change them."""
    untrusted: bool
    """Whether other people's text was read in this run: from here on, whatever acts asks first."""
    conclusion: str
    """What `act` said when it was done."""
    feedback: str
    """Why the self-check sent the run back; empty before it did."""
    calls: Annotated[list[str], operator.add]
    """Ids of the calls whose replies this state rests on, in order."""
    spent: Spent
    model_version: str | None
    """Registry id that the last reply came from; `None` for a bare base or another engine's model."""
