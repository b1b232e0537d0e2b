"""What a tool declares about itself, beside its schema: effects, time, size and trust of its output."""

from enum import StrEnum
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import Field, ValidationError

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.noun import Noun
from langgraph_ratchet.core.step import Trust

_KEY = "ratchet"


class Effect(StrEnum):
    """What a call may do beyond computing its result."""

    READS = "reads"
    """Reads what is not in its arguments: files, attachments, a memory."""
    WRITES = "writes"
    """Changes something that outlives the call."""
    NETWORK = "network"
    EXECUTES = "executes"
    """Runs code that it was given."""


class ToolSpec(Noun):
    """The declaration. A LangChain tool carries it in `metadata["ratchet"]`, as plain data."""

    effects: frozenset[Effect] = frozenset()
    """Empty: a pure function of the arguments."""
    timeout_s: float = Field(gt=0)
    """Seconds until the runner stops waiting."""
    output_cap: int = Field(gt=0)
    """Characters of output that are kept."""
    trust: Trust
    """Trust of the output."""

    def metadata(self) -> dict[str, Any]:
        """The `metadata` that a LangChain tool with this spec carries."""
        return {_KEY: self.model_dump(mode="json")}


_FOREIGN = ToolSpec(effects=frozenset(Effect), timeout_s=30.0, output_cap=8_000, trust=Trust.UNTRUSTED)


def spec_of(tool: BaseTool) -> ToolSpec:
    """The spec that `tool` carries; for a tool that carries none, a careful one: any effect, untrusted output.

    Raises:
        BadInputError: the tool carries something that is not a spec.
    """
    declared = (tool.metadata or {}).get(_KEY)
    if declared is None:
        return _FOREIGN
    try:
        return ToolSpec.model_validate(declared)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        raise BadInputError(f"tool {tool.name}: metadata['{_KEY}'] is not a tool spec: {faults}") from error
