"""Makes the candidate the champion."""

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState


def promote(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Only from the champion that the gate compared with; a candidate that is champion already stays it."""
    if not state["approved"]:
        return {"promoted": False}
    candidate = services.candidate(state)
    champion = services.registry.champion
    if champion is None or champion.id != candidate.id:
        reason = f"gate passed in {state['run_id']}, round {state['round']}"
        services.registry.promote(candidate.id, expected=state["champion"], reason=reason)
    return {"promoted": True}
