"""From causes to their effects, and from a change to what it would bring about."""

from langgraph_ratchet.reasoning.strategy import Strategy

STRATEGY = Strategy(
    name="causal",
    when="effects are sought",
    instruction=(
        "Trace what causes what, step by step; tell a cause from what only occurs with it, and ask what would change "
        "if the cause were absent."
    ),
)
