"""Turns the graded rollouts into a dataset."""

from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.curation import Rolled, curate as curate_rollouts, summary
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.nodes.grade import graded_rollouts
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite


def curate(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Stops the round when nothing is left to learn from."""
    rolled = [Rolled(item.problem, item.trace, item.grade) for item in graded_rollouts(state, services)]
    held_out = {problem.id for problem in generate(load_suite(state["suite"]))}
    dataset = curate_rollouts(rolled, held_out=held_out, fingerprint=services.fingerprint)
    path = write(services.round_folder(state) / "dataset.json", dataset)
    say(Progress(phase="curate", done=len(dataset.examples), total=len(rolled)))
    stopped = None if dataset.examples else "no rollout was fit to learn from: see what was dropped, and why"
    return {"dataset": path, "curated": {**summary(dataset), "hash": dataset.hash}, "stopped": stopped}
