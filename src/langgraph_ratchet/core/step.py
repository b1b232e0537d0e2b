"""One step of a run's reasoning: a thought, or a tool call with its result."""

from enum import StrEnum
from typing import Any

from langgraph_ratchet.core.noun import Noun


class Trust(StrEnum):
    """Who stands behind a text."""

    OWN = "own"
    """Written by the model, or computed by a tool from the model's own arguments."""
    UNTRUSTED = "untrusted"
    """Other people's text: web, files, documents, MCP, memory."""


class Approval(StrEnum):
    """What became of a tool call that had to be approved."""

    APPROVED = "approved"
    EDITED = "edited"
    """Approved with other arguments."""
    REJECTED = "rejected"
    REFUSED = "refused"
    """Nobody could be asked."""


class Step(Noun):
    """A numbered step. Tool steps carry the tool's input and output; the output is never under the loss."""

    number: int
    """From 1, in the order the run took them."""
    description: str
    reasoning: str = ""
    """What the model wrote before acting; empty when it wrote nothing."""
    tool: str | None = None
    """`None` for a step without a tool."""
    input: dict[str, Any] | None = None
    output: str | None = None
    """The tool's result, cut at the tool's cap; its error text when `failed`."""
    failed: bool = False
    confidence: float | None = None
    call_id: str
    """The call that decided on this step."""
    trust: Trust = Trust.OWN
    """Trust of `output`."""
    approval: Approval | None = None
    """`None` for a call that did not have to be approved."""
    proposed: dict[str, Any] | None = None
    """The arguments that the model wrote, where a person changed them and `input` is what the call was made with."""
    replayed: bool = False
    """Whether `output` came from a recording or a simulator, and the tool was not called (`tools.replay`)."""
