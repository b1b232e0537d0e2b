"""Measuring on held-out problems: the same model on the same problems is measured once, whichever node asks."""

from collections.abc import Collection, Sequence
from typing import Any

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import content_hash, derive_seed
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.core.suite import Suite, SuiteSource
from langgraph_ratchet.evaluation.runner import Graded, Measurement, measure, report
from langgraph_ratchet.improvement.manifest import setup_hash
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite


def measurement_of(
    state: ImprovementState, services: Services, *, label: str, suite: Suite, version: str | None, **how: Any
) -> Measurement:
    """What a run measures; its fields decide the ids of the traces, so they hold nothing of the round."""
    deterministic = state.get("deterministic", False)
    return Measurement(
        label=label,
        suite_hash=suite.hash,
        model=services.base_name,
        base_hash=services.fingerprint.base,
        model_version=version,
        seed=state["seed"],
        setup=content_hash([setup_hash(services), deterministic]),
        **how,
    )


def held_out_report(
    state: ImprovementState,
    services: Services,
    version: str | None,
    sets: Sequence[tuple[Suite, Sequence[Problem]]],
    *,
    phase: str,
    say: OnProgress,
) -> Report:
    """The model, greedy, on all problems of the sets, as one report."""
    reasoner = services.reasoner(version, deterministic=state.get("deterministic", False))
    reports = []
    for suite, problems in sets:
        wanted = measurement_of(state, services, label="held_out", suite=suite, version=version)
        graded = measure(
            reasoner, services.store, problems, wanted, replay=services.replay, phase=phase, on_progress=say
        )
        reports.append(report(complete(graded, len(problems)), wanted))
    return joined(reports)


def complete(graded: list[Graded], wanted: int) -> list[Graded]:
    """`graded`, if no run is missing: a report that lacks rows would compare other problems than were asked for."""
    if len(graded) != wanted:
        raise BadInputError(f"{wanted - len(graded)} of {wanted} runs are not in the trace store: resume to run them")
    return graded


def joined(reports: Sequence[Report]) -> Report:
    """Reports of one model on several sets of problems, as one."""
    first = reports[0]
    if len(reports) == 1:
        return first
    rows = tuple(row for each in reports for row in each.rows)
    return first.model_copy(update={"rows": rows, "suite_hash": content_hash([each.suite_hash for each in reports])})


def held_out_sets(state: ImprovementState) -> list[tuple[Suite, list[Problem]]]:
    """The suite's problems, and each further set that was asked for at the approval; all distinct.

    Raises:
        BadInputError: the suite's levels have not that many problems left.
    """
    suite = load_suite(state["suite"])
    sets = [(suite, generate(suite))]
    for entry in state.get("more") or []:
        known = {problem.id for _, problems in sets for problem in problems}
        sets.append(_further(suite, entry["count"], entry["seed"], known))
    return sets


def further_seed(state: ImprovementState) -> int:
    """Seed of the next set of further problems."""
    return derive_seed("more", state["seed"], state["round"], len(state.get("more") or []))


def _further(suite: Suite, count: int, seed: int, known: Collection[str]) -> tuple[Suite, list[Problem]]:
    further = suite.model_copy(
        update={"name": f"{suite.name}+{count}", "seed": seed, "sources": _shared_out(suite, count)}
    )
    problems = generate(further, known=known)
    if again := sum(problem.id in known for problem in problems):
        raise BadInputError(
            f"{count} more problems were asked for, and {again} of them would be ones that were measured already: "
            f"the levels of suite {suite.name!r} have no others left; ask for fewer"
        )
    return further, problems


def _shared_out(suite: Suite, count: int) -> tuple[SuiteSource, ...]:
    """`count` problems over the suite's levels, in the suite's proportions (largest remainders)."""
    levels = [(source.family, level, source.count) for source in suite.sources for level in source.levels]
    quotas = [count * weight / suite.size for _, _, weight in levels]
    counts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(levels)), key=lambda at: counts[at] - quotas[at])
    for at in by_remainder[: count - sum(counts)]:
        counts[at] += 1
    return tuple(
        SuiteSource(family=family, levels=(level,), count=number)
        for (family, level, _), number in zip(levels, counts, strict=True)
        if number
    )
