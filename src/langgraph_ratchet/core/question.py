"""The question: all that an engine ever sees of a problem."""

from enum import StrEnum
from typing import Any

from pydantic import Field, computed_field, model_validator

from langgraph_ratchet.core.ids import content_id
from langgraph_ratchet.core.noun import Noun


class QuestionType(StrEnum):
    """The kinds of reasoning that Ratchet measures apart."""

    LOGICAL = "logical"
    CAUSAL = "causal"
    ANALOGICAL = "analogical"
    MATHEMATICAL = "mathematical"
    SCIENTIFIC = "scientific"
    COMMONSENSE = "commonsense"
    MULTI_HOP = "multi_hop"
    TEMPORAL = "temporal"
    SPATIAL = "spatial"
    ETHICAL = "ethical"


class Attachment(Noun):
    """A text that comes with a question and that the `documents` tool can look things up in."""

    name: str
    """A file name or title, unique within the question."""
    text: str
    """The whole text."""


class Question(Noun):
    """What is asked. It holds no answer: an answer key lives in `core.answer_key`, out of the engine's reach."""

    type: QuestionType | None = None
    """Kind of reasoning; `None` when the caller did not say."""
    text: str = Field(min_length=1)
    """The question itself, as a person would ask it."""
    context: str = ""
    """Text that is shown with the question."""
    attachments: tuple[Attachment, ...] = ()
    """Texts that are not shown but can be looked up."""

    @model_validator(mode="before")
    @classmethod
    def _without_derived_id(cls, data: Any) -> Any:
        # A stored question carries its derived id; reading it back derives the id anew.
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key != "id"}
        return data

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented form; mypy#14461
    @property
    def id(self) -> str:
        """Content hash: equal questions have equal ids."""
        attachments = [[item.name, item.text] for item in self.attachments]
        return content_id("q", [self.type, self.text, self.context, attachments])
