"""Grades the rollouts against the answer keys."""

from langgraph_ratchet.core.progress import OnProgress, Progress, silent
from langgraph_ratchet.evaluation.runner import Graded, grade_runs
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.nodes.roll_out import practice_runs
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState


def grade(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Counts what was right; the grades themselves are stored beside the traces."""
    graded = graded_rollouts(state, services)
    say(Progress(phase="grade", done=len(graded), total=len(graded)))
    counts = {
        "right": sum(item.grade.score == 1.0 for item in graded),
        "wrong": sum(item.grade.score is not None and item.grade.score < 1.0 for item in graded),
        "ungraded": sum(item.grade.score is None for item in graded),
    }
    return {"rollouts": {**(state["rollouts"] or {}), **counts}}


def graded_rollouts(state: ImprovementState, services: Services) -> list[Graded]:
    """The round's rollouts with their grades; grading again gives the same grades."""
    return grade_runs(services.store, practice_runs(state, services, silent))
