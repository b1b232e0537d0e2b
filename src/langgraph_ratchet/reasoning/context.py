"""What may differ from one invocation to the next.

Live objects are bound when the graph is built, not here: a context arrives as JSON from a server.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Context:
    """Run-time settings of the reasoning graph."""

    strategy: str | None = field(
        default=None, metadata={"description": "Strategy to reason with; empty lets the model select one."}
    )
    temperature: float | None = field(
        default=None, metadata={"description": "Sampling temperature; empty keeps the model's own, 0 is greedy."}
    )
    seed: int | None = field(
        default=None, metadata={"description": "Seed of the run; every call's seed is derived from it."}
    )
    trace_id: str | None = field(
        default=None, metadata={"description": "Id for the run's trace; empty makes a new one."}
    )
