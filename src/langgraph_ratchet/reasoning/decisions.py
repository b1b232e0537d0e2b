"""What a person decides about a tool call: LangChain's form, but for what could be misread in it (extra fields)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langgraph_ratchet.core.errors import BadInputError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Action(_Part):
    """The call as it is to be made."""

    name: str
    """The tool's name, as it was."""
    args: dict[str, Any]
    """All arguments."""


class Approve(_Part):
    """The call is made as it stands."""

    type: Literal["approve"]


class Edit(_Part):
    """The call is made with other arguments."""

    type: Literal["edit"]
    edited_action: Action


class Reject(_Part):
    """The call is not made."""

    type: Literal["reject"]
    message: str | None = None
    """Why; the model is told."""


class Decisions(_Part):
    """The answer to a call that asks for an approval."""

    decisions: list[Annotated[Approve | Edit | Reject, Field(discriminator="type")]] = Field(min_length=1, max_length=1)
    """One for the one call that is asked about."""


FORM = Decisions.model_json_schema()
"""The JSON schema from which Studio makes its form."""


def read_decision(answer: Any) -> Approve | Edit | Reject:
    """The decision in an answer.

    Raises:
        BadInputError: it is not one decision.
    """
    try:
        (decision,) = Decisions.model_validate(answer).decisions
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the answer"
        raise BadInputError(
            f"{where}: {fault['msg']}; wanted {{'decisions': [{{'type': 'approve'}}]}}, one decision of type approve, "
            "edit (with edited_action: name, args) or reject (with message)"
        ) from error
    return decision
