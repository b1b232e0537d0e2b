"""Measures the candidate on the very problems that the champion was measured on."""

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.improvement.measuring import held_out_report
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite


def evaluate(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Greedy, on the whole suite."""
    suite = load_suite(state["suite"])
    sets = [(suite, generate(suite))]
    report = held_out_report(state, services, state["candidate"], sets, phase="evaluate", say=say)
    return {"report": write(services.round_folder(state) / "candidate.json", report)}
