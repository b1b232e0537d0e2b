"""What may differ from one invocation to the next.

Live objects are bound when the graph is built, not here: a context arrives as JSON from a server, and is a form in
Studio.
"""

from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from langgraph_ratchet.core.errors import BadInputError

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


@with_config(ConfigDict(use_attribute_docstrings=True))
@dataclass(frozen=True)
class Context:
    """Run-time settings of the reasoning graph. Limits can be lowered here, not raised."""

    model: str | None = None
    """Model to reason with, by name, such as pocket or champion; empty keeps the graph's own."""
    strategy: str | None = None
    """Strategy to reason with, by name; empty lets the model select one."""
    temperature: Amount | None = None
    """Sampling temperature; empty keeps the model's own, 0 is greedy."""
    seed: int | None = None
    """Seed of the run; every call's seed is derived from it. Empty keeps the model's own."""
    trace_id: str | None = None
    """Id for the run's trace; empty makes a new one."""
    calls: Count | None = None
    """Most calls to the model; empty keeps the graph's limit."""
    tool_calls: Count | None = None
    """Most calls to tools; empty keeps the graph's limit."""
    tokens: Count | None = None
    """Most tokens, read and written, over all calls; empty keeps the graph's limit."""
    seconds: Amount | None = None
    """Most seconds for the run; empty keeps the graph's limit."""
    revisions: Count | None = None
    """How often the self-check may send the run back; empty keeps the graph's limit."""


_context = TypeAdapter(Context)


def checked(given: object) -> Context:
    """`given` with every value of the type that it should be; the default context for anything that is no `Context`.

    As a subgraph the graph is given its parent's context, which may be of any type; without one it is given `None`.

    Raises:
        BadInputError: a field has a value that cannot be used.
    """
    if not isinstance(given, Context):
        return Context()
    try:
        return _context.validate_python({item.name: getattr(given, item.name) for item in fields(Context)})
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}={fault['input']!r}: {fault['msg']}" for fault in error.errors())
        raise BadInputError(f"the context cannot be used: {faults}") from error
