"""The trace: one run of a reasoning graph, written once and never edited."""

from enum import StrEnum
from typing import ClassVar

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step


class Outcome(StrEnum):
    """How a run ended. Every run has one; a stack trace is never an outcome."""

    ANSWERED = "answered"
    """It gave an answer (right or wrong is for grading to say)."""
    OUT_OF_STEPS = "out_of_steps"
    OUT_OF_TOOL_CALLS = "out_of_tool_calls"
    OUT_OF_TOKENS = "out_of_tokens"
    OUT_OF_TIME = "out_of_time"
    TOOL_FAILED = "tool_failed"
    """Tools went on failing after the errors had been fed back."""
    MALFORMED_REPLY = "malformed_reply"
    """Replies could not be read after the problem had been fed back."""
    MODEL_FAILED = "model_failed"
    """The chat model raised."""
    NOT_RECORDED = "not_recorded"
    """It was a run again, and called a tool as no recording did (`tools.replay`)."""
    FAILED = "failed"
    """The agent itself raised."""
    STOPPED = "stopped"
    """It was cancelled, or whoever read its stream left."""


class Trace(Stored):
    """One run. Calls that a crash left behind are not in it: they stay in the store as superseded."""

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2  # 2: agent, thread, provider, imported_from

    id: str
    question: Question
    model: str
    """Name of the chat model as it identifies itself; where an agent has several, the one that answered."""
    provider: str | None = None
    """Who ran the model, as LangChain names it; `None`: not known."""
    agent: str | None = None
    """Name of the graph or runnable that was recorded; `None`: Ratchet's own reasoning graph."""
    thread: str | None = None
    """LangGraph's thread that it ran in; `None`: in none."""
    imported_from: str | None = None
    """Format that it was imported from, such as `langsmith`; `None`: it was recorded here."""
    model_version: str | None
    """Registry id of the adapter; `None` for a bare base or a model that is not in the registry."""
    strategy: str | None
    """`None` when the run ended before one was selected."""
    plan: tuple[str, ...]
    steps: tuple[Step, ...]
    calls: tuple[Call, ...]
    answer: str | None
    confidence: float | None
    """The run's own probability that the answer is right; `None` when the model gives no log-probabilities."""
    outcome: Outcome
    error: str | None = None
    revisions: int = 0
    """How often the self-check sent the run back."""
    started_at: float
    """Unix time, seconds."""
    seconds: float
    code_version: str
    """Version of langgraph-ratchet that ran it."""

    @property
    def tool_calls(self) -> int:
        """Steps that called a tool, failed ones included."""
        return sum(step.tool is not None for step in self.steps)

    @property
    def total_tokens(self) -> int | None:
        """Tokens over all calls; `None` when some call did not report them."""
        totals = [call.usage.total_tokens for call in self.calls if call.usage is not None]
        return sum(totals) if len(totals) == len(self.calls) else None
