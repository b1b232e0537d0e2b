"""Settles the run's settings and measures the champion on held-out problems."""

from collections.abc import Sequence

from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.evaluation.runner import Measurement, measure, report
from langgraph_ratchet.evaluation.sampled import sampled_accuracy
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite

SAMPLES = 8
"""Draws per problem behind pass@8 and majority@8."""


def settle(state: ImprovementState, services: Services) -> ImprovementState:
    """The settings with their defaults filled in."""
    champion = services.registry.champion
    settled: ImprovementState = {
        "run_id": state.get("run_id") or new_id("improve"),
        "suite": state.get("suite") or "first_light",
        "practice": state.get("practice") or "first_light_practice",
        "samples": state.get("samples") or 4,
        "temperature": state.get("temperature", 1.0),
        "seed": state.get("seed", 0),
        "promotion": state.get("promotion") or "ask",
        "sampled_problems": state.get("sampled_problems", 48),
        "round": state.get("round", 0) + 1,
        "champion": champion.id if champion else None,
        "stopped": None,
    }
    return settled


def diagnose(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """The champion, greedy on the whole suite; and sampled on a part of it, spread over all levels."""
    settled = settle(state, services)
    suite = load_suite(settled["suite"])
    problems = generate(suite)
    measurement = Measurement(
        label="champion",
        suite_hash=suite.hash,
        model=services.base_name,
        base_hash=services.fingerprint.base,
        model_version=settled["champion"],
        seed=settled["seed"],
    )
    reasoner = services.reasoner(settled["champion"])
    graded = measure(reasoner, services.store, problems, measurement, phase="diagnose", on_progress=say)
    baseline = report(graded, measurement)
    sampled = None
    if part := spread(problems, settled["sampled_problems"]):
        draws = Measurement(**{**vars(measurement), "label": "sampled", "temperature": 1.0, "samples": SAMPLES})
        drawn = measure(reasoner, services.store, part, draws, phase="sample", on_progress=say)
        ids = {problem.id for problem in part}
        greedy = baseline.accuracy(lambda row: row.problem_id in ids)
        sampled = {
            **sampled_accuracy(drawn, temperature=1.0).model_dump(mode="json"),
            "greedy": greedy.model_dump(),
            "problem_ids": sorted(ids),
        }
    path = write(services.round_folder(settled) / "baseline.json", baseline)
    return {**settled, "baseline": path, "sampled": sampled}


def spread(problems: Sequence[Problem], count: int) -> list[Problem]:
    """`count` of the problems, evenly spaced, so that every level has its share."""
    if count <= 0:
        return []
    step = max(1, len(problems) / count)
    return [problems[int(index * step)] for index in range(min(count, len(problems)))]
