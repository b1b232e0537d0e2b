"""Asks whether the work supports the answer, and sends the run back once if it does not."""

import math
import re

from langchain_core.messages import HumanMessage, SystemMessage

from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.request import Body, Reply, ask_readable
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.wording import work_text

_VERDICT = re.compile(r"^\W*(yes|no)\b[\W_]*(.*)", re.IGNORECASE | re.DOTALL)


def self_check(state: ReasoningState, services: Services, context: Context) -> Body:
    """Rejected with revisions left: the answer is taken back and the reason is shown to the next plan."""
    messages = [
        SystemMessage(prompt("self_check")),
        HumanMessage(f"{work_text(state)}\nAnswer: {state['answer']}"),
    ]
    reply, verdict = yield from ask_readable(
        messages, _verdict, "Reply yes, or no and the reason.", attempts=services.budgets.malformed
    )
    supported, reason = verdict
    if supported or state.get("revisions", 0) >= services.budgets.revisions:
        return {"confidence": _confidence(reply, supported)}
    feedback = f"An earlier answer was rejected: {state['answer']}" + (f" ({reason})" if reason else "")
    return {
        "answer": None,
        "feedback": feedback,
        "revisions": state.get("revisions", 0) + 1,
        # For the way back to `act`; the way back to `plan` starts a new conversation.
        "transcript": [*state.get("transcript", []), HumanMessage(f"{feedback}. Do the work again.")],
    }


def _verdict(reply: Reply) -> tuple[bool, str] | None:
    match = _VERDICT.match(reply.text)
    return (match[1].lower() == "yes", match[2].strip()) if match else None


def _confidence(reply: Reply, supported: bool) -> float | None:
    """The probability that the model gave to the verdict it did not have to give: its first token."""
    if reply.first_logprob is None:
        return None
    probability = math.exp(reply.first_logprob)
    return probability if supported else 1.0 - probability
