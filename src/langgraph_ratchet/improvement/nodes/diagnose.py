"""Begins a round: settles the settings and measures the champion on held-out problems."""

from collections.abc import Sequence

from langgraph.runtime import get_runtime

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.evaluation.runner import measure
from langgraph_ratchet.evaluation.sampled import sampled_accuracy
from langgraph_ratchet.improvement.manifest import admit
from langgraph_ratchet.improvement.measuring import complete, held_out_report, measurement_of
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState, new_round
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite

SAMPLES = 8
"""Draws per problem behind pass@8 and majority@8."""


def settle(state: ImprovementState) -> ImprovementState:
    """The settings with their defaults filled in."""
    given = state.get("run_id")
    rounds = state.get("rounds", 1)
    if rounds < 1:
        raise BadInputError(f"rounds is {rounds}: a run has at least one")
    return {
        # A thread that is used again after its run was over begins another run.
        "run_id": given if given and given != state.get("over") else new_id("improve"),
        "suite": state.get("suite") or "first_light",
        "practice": state.get("practice") or "first_light_practice",
        "rounds": rounds,
        "samples": state.get("samples") or 4,
        "temperature": state.get("temperature", 1.0),
        "seed": state.get("seed", 0),
        "promotion": state.get("promotion") or "ask",
        "sampled_problems": state.get("sampled_problems", 48),
        "deterministic": state.get("deterministic", False),
        "control": state.get("control", False),
    }


def diagnose(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """The champion, greedy on the whole suite; and sampled on a part of it, spread over all levels."""
    begins = not state.get("round") or state.get("over") is not None
    settled = settle(state)
    if begins and (services.promotion or settled["promotion"]) == "ask":
        _check_can_wait()
    champion = services.registry.champion
    number = 1 if begins else state["round"] + 1
    update: ImprovementState = {**settled, **new_round(number, champion.id if champion else None), "over": None}
    if begins:
        update["history"] = []

    def said(progress: Progress) -> None:
        say(progress.model_copy(update={"round": number}))  # the state still has the number of the round before

    admit(update, services, said)
    suite = load_suite(settled["suite"])
    problems = generate(suite)
    version = update["champion"]
    baseline = held_out_report(update, services, version, [(suite, problems)], phase="diagnose", say=said)
    if part := spread(problems, settled["sampled_problems"]):
        how = {"temperature": 1.0, "samples": SAMPLES}
        draws = measurement_of(update, services, label="sampled", suite=suite, version=version, **how)
        reasoner = services.reasoner(version, deterministic=settled["deterministic"])
        drawn = measure(reasoner, services.store, part, draws, replay=services.replay, phase="sample", on_progress=said)
        ids = {problem.id for problem in part}
        update["sampled"] = {
            **sampled_accuracy(complete(drawn, SAMPLES * len(part)), temperature=1.0).model_dump(mode="json"),
            "greedy": baseline.accuracy(lambda row: row.problem_id in ids).model_dump(),
            "problem_ids": sorted(ids),
        }
    update["baseline"] = write(services.round_folder(update) / "baseline.json", baseline)
    return {**update}


def spread(problems: Sequence[Problem], count: int) -> list[Problem]:
    """`count` of the problems, evenly spaced, so that every level has its share."""
    if count <= 0:
        return []
    step = max(1, len(problems) / count)
    return [problems[int(index * step)] for index in range(min(count, len(problems)))]


def _check_can_wait() -> None:
    """Refuses at the start what could not wait for a person at the end."""
    info = get_runtime().execution_info
    if info is not None and info.thread_id is None:
        raise BadInputError(
            "promotion is 'ask', and without a checkpointer the run cannot wait for an answer: compile the graph with "
            "one and give config={'configurable': {'thread_id': ...}}, or set promotion to 'auto' or 'never'"
        )
