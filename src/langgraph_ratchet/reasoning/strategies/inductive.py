"""From examples to the rule behind them."""

from langgraph_ratchet.reasoning.strategy import Strategy

STRATEGY = Strategy(
    name="inductive",
    when="a rule is sought from examples",
    instruction="Compare the examples, state the rule that explains all of them, test it, then apply it.",
)
