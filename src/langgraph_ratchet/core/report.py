"""The report: one model version measured on one suite."""

from collections.abc import Callable
from functools import partial

from langgraph_ratchet.core.accuracy import Accuracy
from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.core.question import QuestionType
from langgraph_ratchet.core.trace import Outcome


class ReportRow(Noun):
    """One problem's result. A run that gave no answer, or that no grader could judge, counts as wrong."""

    problem_id: str
    trace_id: str
    type: QuestionType
    family: str
    difficulty: int
    answer: str | None
    correct: bool
    """Right by the lenient reading, which is the one that accuracy means unless it says strict."""
    strict: bool
    outcome: Outcome
    calls: int
    tool_calls: int
    tokens: int | None
    """Tokens over all calls of the run; `None` when the model did not report them."""
    seconds: float
    """Wall time of the run, waiting for its batch included."""


class Report(Stored):
    """A suite's result, one row per problem."""

    suite_hash: str
    model: str
    model_version: str | None
    """Registry id; `None` for the bare base."""
    temperature: float
    seed: int
    rows: tuple[ReportRow, ...]

    def accuracy(self, where: Callable[[ReportRow], bool] = lambda row: True, *, strict: bool = False) -> Accuracy:
        """Accuracy over the rows that `where` accepts, lenient unless `strict`."""
        rows = [row for row in self.rows if where(row)]
        return Accuracy(correct=sum(row.strict if strict else row.correct for row in rows), n=len(rows))

    @property
    def by_type(self) -> dict[QuestionType, Accuracy]:
        """Accuracy of each question type that has rows."""
        return {kind: self.accuracy(partial(_is_of, kind)) for kind in sorted({row.type for row in self.rows})}

    @property
    def by_level(self) -> dict[tuple[str, int], Accuracy]:
        """Accuracy of each (family, difficulty) that has rows."""
        levels = sorted({(row.family, row.difficulty) for row in self.rows})
        return {level: self.accuracy(partial(_is_at, level)) for level in levels}

    @property
    def means(self) -> dict[str, float | None]:
        """Calls, tool calls, tokens and seconds per problem; `None` where a row lacks the figure."""
        n = len(self.rows)
        tokens = [row.tokens for row in self.rows if row.tokens is not None]
        return {
            "calls": sum(row.calls for row in self.rows) / n if n else None,
            "tool_calls": sum(row.tool_calls for row in self.rows) / n if n else None,
            "tokens": sum(tokens) / n if n and len(tokens) == n else None,
            "seconds": sum(row.seconds for row in self.rows) / n if n else None,
        }


def _is_of(kind: QuestionType, row: ReportRow) -> bool:
    return row.type == kind


def _is_at(level: tuple[str, int], row: ReportRow) -> bool:
    return (row.family, row.difficulty) == level
