"""One thing that is remembered, with who wrote it, where it is from, in which run, and how far it is trusted."""

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import clean_text, content_id
from langgraph_ratchet.core.noun import Noun
from langgraph_ratchet.core.step import Trust

TEXT_CHARS = 8_000
"""Longest text of a record: it is shown to a model as a whole."""
_NAME_CHARS = 1_000


class MemoryKind(StrEnum):
    """What a record is."""

    FACT = "fact"
    """Something that holds."""
    EXPERIENCE = "experience"
    """A past run: what was asked, how it was solved, what was answered."""
    LESSON = "lesson"
    """What to do another time."""


class Record(Noun):
    """A text that is remembered. Text that no store can hold is cleaned as everywhere (`core.ids.clean_text`)."""

    text: str = Field(max_length=TEXT_CHARS)
    """Complete in itself: it is shown without what stood around it."""
    kind: MemoryKind
    writer: str = Field(min_length=1, max_length=_NAME_CHARS)
    """Who wrote it: a person, a model, a tool, an MCP client."""
    source: str | None = Field(default=None, max_length=_NAME_CHARS)
    """What it was taken from, such as a URL or a file; `None`: from nothing outside. Records can be deleted by it."""
    run: str | None = Field(default=None, max_length=_NAME_CHARS)
    """Id of the run that it was written in; `None`: in none. Records can be deleted by it."""
    trust: Trust
    """`untrusted`: other people's text, or written by a run that had read some."""
    written_at: float
    """Unix time, seconds."""

    @field_validator("text", "writer", "source", "run", mode="before")
    @classmethod
    def _clean(cls, value: Any) -> Any:
        return clean_text(value) if isinstance(value, str) else value

    @field_validator("text")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is blank")
        return text

    @property
    def id(self) -> str:
        """Content hash: what is written twice, as by a node that a crash made run again, is one record."""
        return content_id("mem", [self.kind, self.text, self.writer, self.source, self.run, self.trust])

    @property
    def metadata(self) -> dict[str, str | float]:
        """All but the text, as Chroma keeps it: it has no `None`."""
        return self.model_dump(mode="json", include=_METADATA, exclude_none=True)

    @classmethod
    def of(cls, text: str, metadata: dict[str, Any], **more: float) -> Self:
        """The record that has this text and metadata, and `more` fields of a subclass."""
        return cls.model_validate({**{name: metadata.get(name) for name in _METADATA}, "text": text, **more})


_METADATA = {"kind", "writer", "source", "run", "trust", "written_at"}


class Recollection(Record):
    """A record that was found."""

    similarity: float
    """Cosine between its embedding and the query's: 1 is the same, 0 unrelated."""


def new_record(**fields: Any) -> Record:
    """A record from what a caller gave.

    Raises:
        BadInputError: it cannot be one; the message says what is wrong with which field.
    """
    try:
        return Record(**fields)
    except ValidationError as error:
        faults = (f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise BadInputError(f"this cannot be remembered: {'; '.join(faults)}") from error
