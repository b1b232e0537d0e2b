"""Whether curation did the work: the candidate beside a control that was trained on unfiltered runs."""

from collections.abc import Collection
from enum import StrEnum

from langgraph_ratchet.core.accuracy import Accuracy
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.evaluation.gate import GateSettings
from langgraph_ratchet.evaluation.pairs import PairCounts, count_pairs
from langgraph_ratchet.evaluation.statistics import difference_lower_bound, paired_p_value, pairs_for_test


class CurationVerdict(StrEnum):
    """Whether the choice of runs is what made the candidate better."""

    YES = "yes"
    """It was shown: the candidate is better than the control."""
    NO = "no"
    """It was shown that the candidate is not better than the control by as much as would be worth it."""
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


class ControlComparison(Stored):
    """The candidate and the control on the same problems."""

    verdict: CurationVerdict
    candidate: Accuracy
    """On the problems that were compared, as all figures here."""
    control: Accuracy
    out_of_time: int
    """Problems left out since one of the two ran out of time: that tells how busy the machine was, not who is better.
    A run that goes in circles ends at its limits of steps, calls or tokens, and is compared."""
    candidate_alone: int
    """Problems that only the candidate solved."""
    control_alone: int
    """Problems that only the control solved."""
    difference: float
    """Accuracy of the candidate less that of the control."""
    low: float
    """One-sided lower bound of the difference, at the gate's confidence for types."""
    high: float
    """One-sided upper bound of the difference, at the same confidence."""
    p_value: float | None
    """One-sided exact p-value of the paired test; `None` when no pair differed."""
    problems_needed: int | None = None
    """Held-out problems that would be enough, with `not_enough_evidence`; `None` when none would be."""
    explanation: str
    """The verdict in a sentence, with its figures."""


_DEFAULTS = GateSettings()


def compare_with_control(candidate: Report, control: Report, settings: GateSettings = _DEFAULTS) -> ControlComparison:
    """Compares the two by the gate's own measures.

    Args:
        candidate: report of the candidate.
        control: report of the control.
        settings: what the gate requires. Yes takes a gain of `minimum_effect` and a p-value of `alpha` at most; no
            takes an upper bound of the gain, at `confidence`, below `minimum_effect`.

    Problems on which one of the two ran out of time are left out.

    Raises:
        BadInputError: the reports are not of the same problems of one suite.
    """
    ids = [sorted(row.problem_id for row in report.rows) for report in (candidate, control)]
    if ids[0] != ids[1] or not ids[0] or len(set(ids[0])) != len(ids[0]) or candidate.suite_hash != control.suite_hash:
        raise BadInputError(
            f"candidate and control were measured on {len(ids[0])} and {len(ids[1])} problems, "
            f"{len({*ids[0]} & {*ids[1]})} of them shared: measure both on the same suite, once each"
        )
    late = {row.problem_id for each in (candidate, control) for row in each.rows if row.outcome is Outcome.OUT_OF_TIME}
    candidate, control = (_without(late, report) for report in (candidate, control))
    pairs, _ = count_pairs(control, candidate)
    p_value = paired_p_value(pairs.wins, pairs.losses)
    low, high = _bounds(pairs, settings)
    verdict = CurationVerdict.NOT_ENOUGH_EVIDENCE
    if p_value is not None and p_value <= settings.alpha and pairs.difference >= settings.minimum_effect:
        verdict = CurationVerdict.YES
    elif high < settings.minimum_effect:
        verdict = CurationVerdict.NO
    needed = _needed(pairs, settings) if verdict is CurationVerdict.NOT_ENOUGH_EVIDENCE else None
    return ControlComparison(
        verdict=verdict,
        candidate=candidate.accuracy(),
        control=control.accuracy(),
        out_of_time=len(late),
        candidate_alone=pairs.wins,
        control_alone=pairs.losses,
        difference=pairs.difference,
        low=low,
        high=high,
        p_value=p_value,
        problems_needed=needed,
        explanation=_explained(verdict, pairs, p_value, high, needed, settings) + _left_out(len(late)),
    )


def _without(problem_ids: Collection[str], report: Report) -> Report:
    return report.model_copy(update={"rows": tuple(row for row in report.rows if row.problem_id not in problem_ids)})


def _left_out(late: int) -> str:
    if not late:
        return ""
    return f" {late} more are left out: one of the two ran out of time there, as happens on a busy machine."


def _bounds(pairs: PairCounts, settings: GateSettings) -> tuple[float, float]:
    if not pairs.n:
        return -1.0, 1.0
    low = difference_lower_bound(pairs.wins, pairs.losses, pairs.n, confidence=settings.confidence)
    # The upper bound is the lower bound of the opposite difference.
    high = -difference_lower_bound(pairs.losses, pairs.wins, pairs.n, confidence=settings.confidence)
    return low, high


def _needed(pairs: PairCounts, settings: GateSettings) -> int | None:
    if pairs.difference < settings.minimum_effect:
        return None
    rates = (pairs.wins / pairs.n, pairs.losses / pairs.n)
    needed = pairs_for_test(*rates, alpha=settings.alpha, power=settings.power)
    return None if needed is None else max(pairs.n + 1, needed)


def _explained(
    verdict: CurationVerdict,
    pairs: PairCounts,
    p_value: float | None,
    high: float,
    needed: int | None,
    settings: GateSettings,
) -> str:
    chance = "no pair differs, so nothing was tested" if p_value is None else f"{p_value:.2g}"
    figures = (
        f"of {pairs.n} problems the candidate alone solved {pairs.wins}, the control alone {pairs.losses} "
        f"({100 * pairs.difference:+.1f} points). Chance that a candidate no better than the control would do so "
        f"well: {chance}; allowed is {settings.alpha:g}."
    )
    if verdict is CurationVerdict.YES:
        return f"Curation did the work: {figures}"
    if verdict is CurationVerdict.NO:
        return (
            f"Curation did not do the work: {figures} With {settings.confidence:.0%} confidence the curated runs are "
            f"worth less than {100 * high:+.1f} points, and {100 * settings.minimum_effect:+.1f} would count."
        )
    enough = f" About {needed} problems would be enough." if needed else ""
    return f"Not enough evidence that curation did the work: {figures}{enough}"
