"""Makes the candidate the champion."""

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.improvement.approval import Approval
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState


def promote(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Only from the champion that the gate compared with; a candidate that is champion already stays it."""
    if not state["approved"]:
        return {"promoted": False}
    candidate = services.candidate(state)
    champion = services.registry.champion
    now = champion.id if champion else None
    if now not in (candidate.id, state["champion"]):
        # By another process, or a rollback. Raising would stop the run here at every resume.
        return {
            "promoted": False,
            "stopped": f"{candidate.id} was approved but not promoted: it was compared with "
            f"{state['champion'] or 'the bare base'}, and {now or 'the bare base'} has become champion since",
        }
    if now != candidate.id:
        services.registry.promote(candidate.id, expected=state["champion"], reason=_reason(state))
    return {"promoted": True}


def _reason(state: ImprovementState) -> str:
    approval = Approval.model_validate(state["approval"])
    why = f" ({approval.reason})" if approval.reason else ""
    return f"gate passed in {state['run_id']}, round {state['round']}; approved by {approval.by}{why}"
