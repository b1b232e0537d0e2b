"""From given facts and rules to what follows from them."""

from langgraph_ratchet.reasoning.strategy import Strategy

STRATEGY = Strategy(
    name="deductive",
    when="facts or rules are chained",
    instruction="Find each fact, then derive what follows from it, one link at a time.",
)
