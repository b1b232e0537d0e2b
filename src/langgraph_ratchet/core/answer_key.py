"""The answer key: what a right answer is. Only grading reads it."""

from typing import Any

from pydantic import Field

from langgraph_ratchet.core.noun import Noun


class AnswerKey(Noun):
    """The expected answer and the grader that compares with it."""

    value: str
    """The right answer, in the form that the grader reads."""
    grader: str
    """Name of the grader: `exact`, `number`, `choice`, `datetime`, ..."""
    question_id: str | None = None
    """Question that the key belongs to; `None` when it stands alone."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the grader, as JSON (a tolerance, the list of choices)."""
    expected_steps: int | None = None
    """Tool calls that an expert needs; `None` when not known."""
