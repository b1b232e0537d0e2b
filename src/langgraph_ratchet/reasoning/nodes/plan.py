"""Asks for a plan: one line a step."""

import re

from langchain_core.messages import HumanMessage, SystemMessage

from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.request import Body, Reply, ask_readable
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.wording import question_text

_NUMBER = re.compile(r"^\s*(?:\d+[.):](?!\d)|[-*](?=\s))\s*")  # not the start of "3.5 + 2", "12:30", "-5" or "**bold**"


def plan(state: ReasoningState, services: Services, context: Context) -> Body:
    """Plans anew after a revision too, and then forgets the conversation that followed the old plan."""
    tools = ", ".join(services.tools) or "none"
    messages = [SystemMessage(prompt("plan").format(tools=tools)), HumanMessage(question_text(state))]
    _, lines = yield from ask_readable(
        messages, _lines, "Write at least one numbered line.", attempts=services.budgets.malformed
    )
    return {"plan": lines, "planned_at": len(state.get("steps", [])), "transcript": [], "conclusion": ""}


def _lines(reply: Reply) -> list[str] | None:
    lines = [_NUMBER.sub("", line).strip() for line in reply.text.splitlines()]
    return [line for line in lines if line] or None
