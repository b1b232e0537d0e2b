"""Puts the candidate before the gate."""

from pathlib import Path

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.evaluation.gate import decide
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.page import write_page
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState


def gate(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """The decision is a pure function of the two reports. Every round of the run has an equal part of `alpha`.

    Deciding again over more problems takes nothing from the other rounds' parts: it is asked for only after the gate
    has passed the candidate once, so a candidate that is no better must be lucky in the first decision anyway.
    """
    champion, candidate = (
        Report.model_validate_json(Path(str(state[name])).read_bytes()) for name in ("baseline", "report")
    )
    decision = decide(
        champion,
        candidate,
        candidate_id=str(state["candidate"]),
        champion_id=state["champion"],
        settings=services.gate.model_copy(update={"attempts": state["rounds"]}),
    )
    write(services.round_folder(state) / "decision.json", decision)
    decided: ImprovementState = {**state, "decision": decision.model_dump(mode="json")}
    # Already now: whoever is asked to approve wants to see it.
    return {"decision": decided["decision"], "page": write_page(decided, services)}
