"""Puts the answer into words: the answer only, from the work that was done."""

from langchain_core.messages import HumanMessage, SystemMessage

from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.request import Body, ask_readable
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.wording import work_text


def synthesize(state: ReasoningState, services: Services, context: Context) -> Body:
    """Sets `answer`; the self-check may still send the run back."""
    messages = [SystemMessage(prompt("synthesize")), HumanMessage(work_text(state))]
    _, answer = yield from ask_readable(
        messages, lambda reply: reply.text or None, "Reply with the answer only.", attempts=services.budgets.malformed
    )
    return {"answer": answer}
