"""A run that has begun, and a finished one in a line."""

from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.core.trace import Outcome


class Run(Stored):
    """What is known of a run from its first moment, before there is a trace."""

    id: str
    """The id that its trace will have."""
    question: Question
    model: str
    """Name of the chat model as it identifies itself."""
    started_at: float
    """Unix time, seconds."""


class TraceSummary(Noun):
    """A stored trace without its calls and steps."""

    id: str
    question_id: str
    question: str
    """The question's text."""
    type: QuestionType | None
    model: str
    model_version: str | None
    """Registry id; `None` for a bare base or a model that is not in the registry."""
    strategy: str | None
    outcome: Outcome
    answer: str | None
    confidence: float | None
    calls: int
    """Calls of the chat model; superseded ones are not counted."""
    tool_calls: int
    started_at: float
    """Unix time, seconds."""
    seconds: float
