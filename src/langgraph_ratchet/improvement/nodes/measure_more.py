"""Measures champion and candidate on further held-out problems, when a person wants to see more before deciding."""

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.improvement.measuring import held_out_report, held_out_sets
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState


def measure_more(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Both reports anew, over all problems so far: those that were measured already are only read."""
    sets = held_out_sets(state)
    folder, number = services.round_folder(state), len(state["more"])
    baseline = held_out_report(state, services, state["champion"], sets, phase="diagnose", say=say)
    report = held_out_report(state, services, state["candidate"], sets, phase="evaluate", say=say)
    return {
        "baseline": write(folder / f"baseline-{number}.json", baseline),
        "report": write(folder / f"candidate-{number}.json", report),
    }
