"""Measures the candidate on the very problems that the champion was measured on."""

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.evaluation.runner import Measurement, measure, report
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite


def evaluate(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Greedy, on the whole suite."""
    suite = load_suite(state["suite"])
    measurement = Measurement(
        label="candidate",
        suite_hash=suite.hash,
        model=services.base_name,
        base_hash=services.fingerprint.base,
        model_version=state["candidate"],
        seed=state["seed"],
    )
    reasoner = services.reasoner(state["candidate"])
    graded = measure(reasoner, services.store, generate(suite), measurement, phase="evaluate", on_progress=say)
    return {"report": write(services.round_folder(state) / "candidate.json", report(graded, measurement))}
