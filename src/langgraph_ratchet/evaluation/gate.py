"""The gate: is the candidate shown to be better than the champion, and nowhere much worse?

Every check must pass. Wrongly adopting a candidate that is no better happens at most `alpha` of the time, however the
checks depend on each other: the exact test alone sees to that, and the others only refuse more.
"""

import math
from collections.abc import Sequence

from pydantic import Field

from langgraph_ratchet.core.decision import Check, Decision, Verdict
from langgraph_ratchet.core.noun import Noun
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.evaluation.pairs import PairCounts, count_pairs
from langgraph_ratchet.evaluation.statistics import (
    difference_lower_bound,
    paired_p_value,
    pairs_for_bound,
    pairs_for_test,
)


class GateSettings(Noun):
    """What the gate requires."""

    alpha: float = Field(0.01, gt=0, lt=0.5)
    """How often a candidate that is no better may be adopted, over all attempts together."""
    attempts: int = Field(1, ge=1)
    """Decisions that share `alpha`: each may use an equal part, so that trying often does not make luck likely."""
    minimum_effect: float = Field(0.02, gt=0, lt=1)
    """Smallest observed gain in accuracy that is worth a change."""
    margin: float = Field(0.10, gt=0, lt=1)
    """How far a question type must be shown not to have fallen."""
    confidence: float = Field(0.90, gt=0.5, lt=1)
    """One-sided confidence of that showing."""
    power: float = Field(0.80, ge=0.5, lt=1)
    """Chance of a decision with as many problems as are said to be needed, if the rates are as observed."""

    @property
    def alpha_each(self) -> float:
        """Largest p-value of one paired test (Bonferroni: the parts add up to `alpha`, however rounds depend)."""
        return self.alpha / self.attempts


_DEFAULTS = GateSettings()


def decide(
    champion: Report,
    candidate: Report,
    *,
    candidate_id: str,
    champion_id: str | None,
    settings: GateSettings = _DEFAULTS,
) -> Decision:
    """Whether the candidate replaces the champion.

    Reports that cannot be compared (another suite, other problems, another temperature, or not the reports of the
    versions named) are refused: a rejection in which the checks that measure have no observed value.

    Args:
        champion: the champion's report.
        candidate: the candidate's report, on the same problems.
        candidate_id: registry id of the candidate.
        champion_id: registry id of the champion; `None` for the bare base.
        settings: what is required.

    Returns:
        `promote` when every check passes; `not_enough_evidence` when the gain is large enough and only the number of
        pairs is too small to show it, or to show that no type fell; otherwise `reject`.
    """
    checks = _comparable(champion, candidate, candidate_id, champion_id)
    p_value, verdict, needed = None, Verdict.REJECT, None
    if all(check.passed for check in checks):
        overall, by_type = count_pairs(champion, candidate)
        p_value = paired_p_value(overall.wins, overall.losses)
        checks += [_effect(champion, candidate, overall, settings), _test(overall, p_value, settings)]
        checks += [_not_inferior(name, counts, settings) for name, counts in by_type.items()]
        needed = _problems_needed(overall, by_type, checks, settings)
        if all(check.passed for check in checks):
            verdict = Verdict.PROMOTE
        elif needed is not None:
            verdict = Verdict.NOT_ENOUGH_EVIDENCE
    return Decision(
        candidate=candidate_id,
        champion=champion_id,
        suite_hash=candidate.suite_hash,
        verdict=verdict,
        checks=tuple(checks),
        p_value=p_value,
        problems_needed=needed if verdict is Verdict.NOT_ENOUGH_EVIDENCE else None,
    )


def _comparable(champion: Report, candidate: Report, candidate_id: str, champion_id: str | None) -> list[Check]:
    named = (candidate.model_version == candidate_id) + (champion.model_version == champion_id)
    ids = [[row.problem_id for row in report.rows] for report in (champion, candidate)]
    shared = len(set(ids[0]) & set(ids[1]))
    most = max(len(ids[0]), len(ids[1]))
    return [
        Check(
            name="named_versions",
            observed=named,
            required=2,
            passed=named == 2,
            explanation=f"The reports are of {_version(candidate.model_version)} and {_version(champion.model_version)}"
            f"; compared are the candidate {_version(candidate_id)} and the champion {_version(champion_id)}.",
        ),
        Check(
            name="same_suite",
            observed=float(champion.suite_hash == candidate.suite_hash),
            required=1,
            passed=champion.suite_hash == candidate.suite_hash,
            explanation="Both were measured on the same suite."
            if champion.suite_hash == candidate.suite_hash
            else f"The suites differ: {champion.suite_hash[:12]} (champion) and {candidate.suite_hash[:12]} "
            "(candidate). Measure both on the same one.",
        ),
        Check(
            name="same_temperature",
            observed=candidate.temperature,
            required=champion.temperature,
            passed=candidate.temperature == champion.temperature,
            explanation=f"The candidate was sampled at temperature {candidate.temperature:g}, "
            f"the champion at {champion.temperature:g}.",
        ),
        Check(
            name="same_problems",
            observed=shared,
            required=max(most, 1),
            passed=shared == len(ids[0]) == len(ids[1]) > 0,
            explanation=f"{shared} problems were answered once by both; the champion's report has {len(ids[0])} rows, "
            f"the candidate's {len(ids[1])}.",
        ),
    ]


def _effect(champion: Report, candidate: Report, overall: PairCounts, settings: GateSettings) -> Check:
    return Check(
        name="minimum_effect",
        observed=overall.difference,
        required=settings.minimum_effect,
        passed=overall.difference >= settings.minimum_effect,
        explanation=f"The candidate solved {candidate.accuracy().correct} of {overall.n} problems, the champion "
        f"{champion.accuracy().correct}: {_points(overall.difference)}, wanted at least "
        f"{_points(settings.minimum_effect)}.",
    )


def _test(overall: PairCounts, p_value: float | None, settings: GateSettings) -> Check:
    chance = "no pair differs, so nothing was tested" if p_value is None else f"{p_value:.2g}"
    return Check(
        name="paired_test",
        observed=p_value,
        required=settings.alpha_each,
        passed=p_value is not None and p_value <= settings.alpha_each,
        explanation=f"{overall.wins} problems were solved by the candidate alone, {overall.losses} by the champion "
        f"alone. Chance that a candidate no better would do so well: {chance}; allowed is {_budget(settings)}.",
    )


def _not_inferior(name: str, counts: PairCounts, settings: GateSettings) -> Check:
    bound = difference_lower_bound(counts.wins, counts.losses, counts.n, confidence=settings.confidence)
    return Check(
        name=f"not_inferior:{name}",
        observed=bound,
        required=-settings.margin,
        passed=bound > -settings.margin,
        explanation=f"On {counts.n} {name} problems the candidate's accuracy changed by {_points(counts.difference)}; "
        f"with {settings.confidence:.0%} confidence by more than {_points(bound)}, wanted more than "
        f"{_points(-settings.margin)}.",
    )


def _problems_needed(
    overall: PairCounts, by_type: dict[str, PairCounts], checks: Sequence[Check], settings: GateSettings
) -> int | None:
    """Problems in the suite's proportions that would be enough; `None` if none would be, at the rates observed."""
    passed = {check.name: check.passed for check in checks}
    if not passed["minimum_effect"]:
        return None
    needed: list[int | None] = [overall.n + 1]
    if not passed["paired_test"]:
        rates = (overall.wins / overall.n, overall.losses / overall.n)
        needed.append(pairs_for_test(*rates, alpha=settings.alpha_each, power=settings.power))
    for name, counts in by_type.items():
        if not passed[f"not_inferior:{name}"]:
            pairs = pairs_for_bound(
                counts.wins / counts.n,
                counts.losses / counts.n,
                above=-settings.margin,
                confidence=settings.confidence,
                power=settings.power,
            )
            needed.append(None if pairs is None else math.ceil(pairs * overall.n / counts.n))
    known = [number for number in needed if number is not None]
    return max(known) if len(known) == len(needed) else None


def _budget(settings: GateSettings) -> str:
    if settings.attempts == 1:
        return f"{settings.alpha:g}"
    return f"{settings.alpha_each:.2g}, one of {settings.attempts} rounds' equal parts of {settings.alpha:g}"


def _version(version: str | None) -> str:
    return "the bare base" if version is None else version


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"
