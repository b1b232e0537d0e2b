"""The limits of a run, and the one place where they are checked."""

import math
from dataclasses import dataclass, replace
from typing import Any

from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.state import Spent


class RunEnded(Exception):
    """Leaves the run with an outcome; the node's driver turns it into state."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome

    @property
    def update(self) -> dict[str, Any]:
        """The end of the run, as state."""
        return {"outcome": self.outcome.value, "error": str(self)}


@dataclass(frozen=True)
class Budgets:
    """How much a run may use."""

    calls: int = 32
    """Calls to the model."""
    tool_calls: int = 16
    tokens: int = 200_000
    """Input and output tokens over all calls, as far as the model reports them."""
    seconds: float = 600.0
    """Wall time, waiting for a batch included, and for a person not."""
    failures: int = 3
    """Tool calls that may fail one after another; each failure is fed back."""
    malformed: int = 2
    """Replies to one request that may be unreadable; each is fed back."""
    revisions: int = 1
    """How often the self-check may send the run back."""
    question_chars: int = 100_000
    """Longest question that is accepted, its context included."""

    def within(self, context: Context) -> "Budgets":
        """These limits, or the lower ones that the context asks for."""
        asked = {name: getattr(context, name) for name in ("calls", "tool_calls", "tokens", "seconds", "revisions")}
        lower = {name: min(getattr(self, name), limit) for name, limit in asked.items() if limit is not None}
        return replace(self, **lower) if lower else self

    def check(self, spent: Spent) -> None:
        """Raises `RunEnded` when a limit is reached. Called before every call to the model or a tool."""
        for outcome, used, limit, unit in (
            (Outcome.OUT_OF_STEPS, spent["calls"], self.calls, "model calls"),
            (Outcome.OUT_OF_TOOL_CALLS, spent["tool_calls"], self.tool_calls, "tool calls"),
            (Outcome.OUT_OF_TOKENS, spent["tokens"], self.tokens, "tokens"),
            (Outcome.OUT_OF_TIME, spent["seconds"], self.seconds, "seconds"),
        ):
            if used >= limit:
                raise RunEnded(outcome, f"the run used {round(used, 2):,} of {limit:,} {unit} and was not done")
        if spent["failures"] >= self.failures:
            raise RunEnded(Outcome.TOOL_FAILED, f"{spent['failures']} tool calls failed one after another")


UNTIMED = Budgets(seconds=math.inf)
"""For many runs at once, which wait for one another: a clock would measure the machine and its other work, and make a
model look worse on a busy one."""
