"""The strategy `backward`."""

from langgraph_ratchet.reasoning.strategy import Strategy

STRATEGY = Strategy(
    name="backward",
    when="the end is given and the way is sought",
    instruction="Start from what is wanted, ask what would give it, and go back until you reach what is known.",
)
