"""What a tool declares about itself, beside its schema: effects, time, size and trust of its output."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from langchain_core.tools import BaseTool, tool as as_tool
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
    """Changes something that outlives the call, here or elsewhere: a file, a memory, a mail that is sent."""
    NETWORK = "network"
    """Talks to other machines."""
    EXECUTES = "executes"
    """Runs code that it was given."""


class ToolSpec(Noun):
    """The declaration. A LangChain tool carries it in `metadata["ratchet"]`, as this very object.

    Plain data there is not believed: adapters copy into `metadata` what the server of a tool says of it.
    """

    effects: frozenset[Effect] = frozenset()
    """Empty: a pure function of the arguments."""
    timeout_s: float = Field(gt=0)
    """Seconds until the runner stops waiting."""
    output_cap: int = Field(gt=0)
    """Characters of output that are kept."""
    trust: Trust
    """Trust of the output."""
    described_by: Trust = Trust.OWN
    """Who stands behind its description and schema, which every run that is offered the tool reads."""
    targets: frozenset[str] = frozenset()
    """Names of the arguments that say where a call goes, such as `url`. Once a run has read other people's text, a
    place that the model made up itself needs an approval: what the run knows could be sent there in its name."""

    def metadata(self) -> dict[str, Any]:
        """The `metadata` that a LangChain tool with this spec carries."""
        return {_KEY: self}


_FOREIGN = ToolSpec(effects=frozenset(Effect), timeout_s=30.0, output_cap=8_000, trust=Trust.UNTRUSTED)


def spec_of(tool: BaseTool) -> ToolSpec:
    """The spec that `tool` carries; for a tool that carries none, a careful one: any effect, untrusted output."""
    declared = (tool.metadata or {}).get(_KEY)
    return declared if isinstance(declared, ToolSpec) else _FOREIGN


def is_declared(tool: BaseTool) -> bool:
    """Whether the tool carries a spec of its own."""
    return isinstance((tool.metadata or {}).get(_KEY), ToolSpec)


def declare(
    tool: BaseTool | Callable[..., Any],
    *,
    effects: Iterable[Effect | str],
    trust: Trust | str = Trust.UNTRUSTED,
    targets: Iterable[str] = (),
    timeout_s: float = _FOREIGN.timeout_s,
    output_cap: int = _FOREIGN.output_cap,
) -> BaseTool:
    """A copy of any LangChain tool that declares what it does; a tool that declares nothing is taken to do anything.

    Args:
        tool: a tool, or a function with type hints and a docstring.
        effects: empty for a pure function of the arguments.
        trust: `untrusted` when its output can hold other people's text.
        targets: names of the arguments that say where a call goes.
        timeout_s: seconds until the runner stops waiting.
        output_cap: characters of output that are kept.

    Example:
        >>> look = declare(look_up_order, effects={Effect.READS}, trust=Trust.OWN)

    Raises:
        BadInputError: a value that cannot be used, or a target that is not an argument of the tool.
    """
    made = tool if isinstance(tool, BaseTool) else as_tool(tool)
    try:
        spec = ToolSpec.model_validate(
            {
                "effects": frozenset(effects),
                "trust": trust,
                "targets": frozenset(targets),
                "timeout_s": timeout_s,
                "output_cap": output_cap,
            }
        )
    except ValidationError as error:
        raise BadInputError(f"tool {made.name} cannot be declared so: {faults_of(error)}") from error
    if unknown := sorted(spec.targets.difference(made.args)):
        takes = ", ".join(made.args) or "no arguments"
        raise BadInputError(f"tool {made.name} has no argument {unknown[0]!r} to be a target; it takes {takes}")
    return made.model_copy(update={"metadata": {**(made.metadata or {}), **spec.metadata()}})


def faults_of(error: ValidationError) -> str:
    """What a schema found wrong, on one line."""
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
