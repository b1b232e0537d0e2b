"""From what was observed to what explains it best."""

from langgraph_ratchet.reasoning.strategy import Strategy

STRATEGY = Strategy(
    name="abductive",
    when="explanations are sought",
    instruction=(
        "List the explanations that would account for everything observed, look for what would rule each one out, "
        "and keep the simplest that is left."
    ),
)
