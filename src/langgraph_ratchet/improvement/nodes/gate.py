"""Puts the candidate before the gate."""

from pathlib import Path

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.evaluation.gate import decide
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState


def gate(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """The decision is a pure function of the two reports."""
    champion, candidate = (
        Report.model_validate_json(Path(state[name]).read_bytes()) for name in ("baseline", "report")
    )
    decision = decide(champion, candidate, candidate_id=str(state["candidate"]), champion_id=state["champion"])
    write(services.round_folder(state) / "decision.json", decision)
    return {"decision": decision.model_dump(mode="json")}
