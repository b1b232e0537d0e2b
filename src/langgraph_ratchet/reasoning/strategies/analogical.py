"""From a case that is known to one that is like it."""

from langgraph_ratchet.reasoning.strategy import Strategy

STRATEGY = Strategy(
    name="analogical",
    when="cases are compared",
    instruction=(
        "Say how the parts of the known case correspond to those of the new one, carry over the relation that holds "
        "between them, and check where the two cases differ."
    ),
)
