"""What a tool of the MCP server is made of, and what it knows of whoever calls it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from langgraph_ratchet.reasoning.attended import Decision, Proposal


class Caller(Protocol):
    """The client behind one call."""

    @property
    def name(self) -> str:
        """What the client calls itself; anybody may say anything."""

    @property
    def can_be_asked(self) -> bool:
        """Whether the client shows questions to a person."""

    async def progress(self, done: int, message: str) -> None:
        """Tells what has been done, if the client wants to know; `done` counts up."""

    async def decide(self, proposal: Proposal) -> Decision:
        """Asks the person behind the client about a tool call; only one that can be asked."""


class Arguments(BaseModel):
    """Arguments of a tool; the string under a field is its description for the client's model."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Result(BaseModel):
    """What a tool gives, as a client reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def failure(self) -> str | None:
        """Why this is no answer, for a client that shows nothing else; `None` when it is one."""
        return None


@dataclass(frozen=True)
class Offer:
    """A tool of the server."""

    name: str
    description: str
    arguments: type[Arguments]
    result: type[Result]
    call: Callable[[Any, Caller], Awaitable[Result]]
    """Takes what `arguments` says; raises `RatchetError` for what cannot be done."""
    reads_only: bool
    """Whether a call changes nothing that a client could see."""
    closed: bool
    """Whether a call reaches nothing but Ratchet's own files."""
