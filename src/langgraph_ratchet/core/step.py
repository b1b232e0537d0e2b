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
