"""Selects a strategy, unless the caller or the lack of a choice has done so."""

import re

from langchain_core.messages import HumanMessage, SystemMessage

from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.request import Body, Reply, ask_readable
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.wording import question_text


def select_strategy(state: ReasoningState, services: Services, context: Context) -> Body:
    """A revision keeps the strategy: it is the plan or the work that was at fault."""
    if state.get("revisions") and state.get("strategy"):
        return {}
    if context.strategy is not None:
        return {"strategy": context.strategy}
    names = list(services.strategies)
    if len(names) == 1:
        return {"strategy": names[0]}
    offered = "; ".join(f"{item.name} ({item.when})" for item in services.strategies.values())
    messages = [SystemMessage(prompt("select_strategy").format(names=offered)), HumanMessage(question_text(state))]

    def named(reply: Reply) -> str | None:
        words = re.findall(r"[a-z_]+", reply.text.lower())
        found = {name for name in names if name in words}
        return found.pop() if len(found) == 1 else None

    wanted = f"Reply with exactly one of: {', '.join(names)}."
    _, name = yield from ask_readable(messages, named, wanted, attempts=services.budgets.malformed)
    return {"strategy": name}
