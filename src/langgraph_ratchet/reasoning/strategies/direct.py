"""The general one: do what the plan says."""

from langgraph_ratchet.reasoning.strategy import Strategy

STRATEGY = Strategy(
    name="direct",
    when="one step or a computation",
    instruction="Work one step at a time.",
)
