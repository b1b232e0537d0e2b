"""The form that is filled in before a promotion, and what may stand in it."""

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.noun import Noun

_SHORT = {True: "promote", False: "reject", "true": "promote", "false": "reject", "promote": "promote"} | {
    "reject": "reject"
}
_WANTED = (
    "wanted is true, false, 'promote', 'reject', or an object with `verdict` ('promote', 'reject' or 'more_problems', "
    "the last with `count`) and, if you like, `reason` and `by`"
)


class Approval(Noun):
    """What somebody decided about a candidate that the gate has passed, and why."""

    verdict: Literal["promote", "reject", "more_problems"] = Field(title="Verdict")
    """Make it the champion, leave it, or measure both models on more held-out problems and ask again."""
    count: int | None = Field(None, ge=1, title="How many more problems")
    """Only with `more_problems`."""
    reason: str = Field("", title="Why")
    """Kept in the registry's history."""
    by: str = Field("a person", title="Who decides")
    """Name of whoever decides, or the setting that did."""

    @model_validator(mode="after")
    def _counted(self) -> "Approval":
        if (self.verdict == "more_problems") != (self.count is not None):
            raise ValueError("`count` goes with `more_problems`, and only with it")
        return self


FORM: dict[str, Any] = {"title": "Promote the candidate?", **Approval.model_json_schema()}
"""For clients that make a form of it."""


def read_answer(answer: Any) -> Approval:
    """What was answered.

    Raises:
        BadInputError: it cannot be understood; it says what was wanted.
    """
    given = {"verdict": _SHORT[answer]} if isinstance(answer, (bool, str)) and answer in _SHORT else answer
    try:
        return Approval.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}" for each in error.errors())
        raise BadInputError(f"the answer {answer!r} cannot be understood ({faults}); {_WANTED}") from error
