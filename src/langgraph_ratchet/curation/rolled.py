"""What curation starts from, and what it works on: a run of a problem, and the calls of it that are left."""

from dataclasses import dataclass

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.trace import Outcome, Trace


@dataclass(frozen=True)
class Rolled:
    """One run of one problem, graded.

    Raises:
        BadInputError: the three do not belong together.
    """

    problem: Problem
    trace: Trace
    grade: Grade

    def __post_init__(self) -> None:
        """Checks that the parts name each other."""
        if self.trace.question.id != self.problem.id:
            raise BadInputError(f"trace {self.trace.id} answers {self.trace.question.id}, not {self.problem.id}")
        if self.grade.trace_id not in (None, self.trace.id):
            raise BadInputError(f"the grade is of trace {self.grade.trace_id}, not of {self.trace.id}")

    @property
    def answered(self) -> bool:
        """Whether the run gave an answer at all."""
        return self.trace.outcome is Outcome.ANSWERED and self.trace.answer is not None

    @property
    def right(self) -> bool:
        """Whether it gave an answer that a grader verified."""
        return self.answered and self.grade.verified


@dataclass(frozen=True)
class Kept:
    """A run and those of its calls that may be learned from, in order."""

    rolled: Rolled
    calls: tuple[Call, ...]
