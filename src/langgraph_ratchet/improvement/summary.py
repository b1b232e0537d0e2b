"""What a round of improvement came to, in figures: one JSON object, the same for `demo` and `improve`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph_ratchet.core.accuracy import Accuracy
from langgraph_ratchet.core.decision import Decision
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.evaluation.control import ControlComparison
from langgraph_ratchet.evaluation.sampled import SampledAccuracy
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.suites import load_suite

Figures = dict[str, Any]


def summarize(state: ImprovementState) -> Figures:
    """Everything that was measured, before and after.

    Returns:
        `base_accuracy` and `candidate_accuracy` (lenient, on all held-out problems), the same strict, `by_type`,
        `by_level`, `never_practised` (levels that practice left out), `sampled`, `cost` per problem, `decision`,
        `p_value`, `checks`, `rollouts`, `curated`, `training`, `approval`, `promoted`, `control` (the verdict on
        curation with its figures, and what the control learned from), `page` (path of the report),
        `seconds_by_phase`, all of the last round; `history` has a line for each round. What was not measured is
        `None`.
    """
    base = _report(state.get("baseline"))
    candidate = _report(state.get("report"))
    decision = Decision.model_validate(state["decision"]) if state.get("decision") else None
    return {
        "run_id": state.get("run_id"),
        "round": state.get("round"),
        "rounds": state.get("rounds"),
        "history": state.get("history", []),
        "champion": state.get("champion"),
        "candidate": state.get("candidate"),
        "n_heldout": len(base.rows) if base else None,
        "base_accuracy": base.accuracy().value if base else None,
        "candidate_accuracy": candidate.accuracy().value if candidate else None,
        "accuracy": _both(base, candidate),
        "strict": _both(base, candidate, strict=True),
        "by_type": _by_type(base, candidate),
        "by_level": _by_level(base, candidate),
        "never_practised": _never_practised(state, base, candidate),
        "sampled": sampled_figures(state, candidate),
        "cost": {"base": base.means if base else None, "candidate": candidate.means if candidate else None},
        "decision": decision.verdict.value if decision else None,
        "p_value": decision.p_value if decision else None,
        "problems_needed": decision.problems_needed if decision else None,
        "checks": [check.model_dump(mode="json") for check in decision.checks] if decision else [],
        "rollouts": state.get("rollouts"),
        "curated": state.get("curated"),
        "training": state.get("training"),
        "approval": state.get("approval"),
        "promoted": state.get("promoted", False),
        "control": _control(state.get("control_arm")),
        "page": state.get("page"),
        "stopped": state.get("stopped"),
        "seconds_by_phase": state.get("seconds", {}),
    }


def _control(arm: Figures | None) -> Figures | None:
    """The comparison with the control, its accuracies as figures; and what the control learned from."""
    if not arm:
        return None
    compared = ControlComparison.model_validate(arm["comparison"])
    return {
        **compared.model_dump(mode="json", exclude={"schema_version"}),
        "candidate": accuracy_figures(compared.candidate),
        "control": accuracy_figures(compared.control),
        "traces": arm["curated"]["traces"],
        "right": arm["right"],
        "training": arm["training"],
    }


def _report(path: str | None) -> Report | None:
    return Report.model_validate_json(Path(path).read_bytes()) if path else None


def accuracy_figures(accuracy: Accuracy) -> Figures:
    """An accuracy as JSON: `value`, `low` and `high` (Wilson, 95 %), `correct`, `n`."""
    low, high = accuracy.interval
    return {"value": accuracy.value, "low": low, "high": high, "correct": accuracy.correct, "n": accuracy.n}


def _both(
    base: Report | None,
    candidate: Report | None,
    where: Callable[[ReportRow], bool] = lambda row: True,
    *,
    strict: bool = False,
) -> Figures:
    return _pair(*(measured.accuracy(where, strict=strict) if measured else None for measured in (base, candidate)))


def _pair(base: Accuracy | None, candidate: Accuracy | None) -> Figures:
    return {
        "base": accuracy_figures(base) if base else None,
        "candidate": accuracy_figures(candidate) if candidate else None,
    }


def _by_type(base: Report | None, candidate: Report | None) -> Figures:
    before, after = (measured.by_type if measured else {} for measured in (base, candidate))
    return {kind.value: _pair(before.get(kind), after.get(kind)) for kind in before}


def _by_level(base: Report | None, candidate: Report | None) -> list[Figures]:
    before, after = (measured.by_level if measured else {} for measured in (base, candidate))
    return [{"family": level[0], "level": level[1], **_pair(before.get(level), after.get(level))} for level in before]


def never_practised(state: ImprovementState, base: Report) -> list[tuple[str, int]]:
    """Levels (family and difficulty) that are measured and that practice leaves out."""
    practised = {(source.family, level) for source in load_suite(state["practice"]).sources for level in source.levels}
    return [level for level in base.by_level if level not in practised]


def _never_practised(state: ImprovementState, base: Report | None, candidate: Report | None) -> Figures | None:
    levels = never_practised(state, base) if base and "practice" in state else []
    if not levels:
        return None
    figures = _both(base, candidate, lambda row: (row.family, row.difficulty) in levels)
    return {"levels": [{"family": family, "level": level} for family, level in levels], **figures}


def sampled_figures(state: ImprovementState, candidate: Report | None) -> Figures | None:
    """The champion sampled, beside the greedy accuracies on the same problems.

    `share_above_majority` is how much of the gain a vote of k draws would not have given without any training.
    """
    given = state.get("sampled")
    if not given:
        return None
    ids = set(given["problem_ids"])
    own = SampledAccuracy.model_validate({key: given[key] for key in SampledAccuracy.model_fields if key in given})
    greedy = Accuracy.model_validate(given["greedy"])
    figures: Figures = {
        "problems": len(ids),
        "samples": own.samples,
        "temperature": own.temperature,
        "base_greedy": accuracy_figures(greedy),
        "base_single": accuracy_figures(own.single),
        "base_pass_at_k": accuracy_figures(own.pass_at_k),
        "base_majority_at_k": accuracy_figures(own.majority),
        "candidate_greedy": None,
        "share_above_majority": None,
    }
    if candidate:
        after = candidate.accuracy(lambda row: row.problem_id in ids)
        gain = (after.value or 0.0) - (greedy.value or 0.0)
        above = (after.value or 0.0) - (own.majority.value or 0.0)
        figures["candidate_greedy"] = accuracy_figures(after)
        figures["share_above_majority"] = above / gain if gain > 0 else None
    return figures
