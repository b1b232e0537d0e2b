"""Asks a person before a promotion, unless the settings say what to do.

It has no side effect: a resumed interrupt runs its node from the top.
"""

from langgraph.types import interrupt

from langgraph_ratchet.core.decision import Verdict
from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState


def approve(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Nothing that the gate has not passed can be approved. Resume with `true` to promote."""
    if state["decision"]["verdict"] != Verdict.PROMOTE:
        return {"approved": False}
    if state["promotion"] == "ask":
        answer = interrupt({"question": "Promote the candidate?", "decision": state["decision"]})
        return {"approved": answer is True}
    return {"approved": state["promotion"] == "auto"}
