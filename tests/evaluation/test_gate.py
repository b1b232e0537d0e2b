"""The gate adopts what is shown to be better, and nothing else."""

import math
import random

import pytest

from langgraph_ratchet.core.decision import Check, Decision, Verdict
from langgraph_ratchet.core.question import QuestionType
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.evaluation.gate import GateSettings, decide

_MATHS, _TIME, _HOPS = QuestionType.MATHEMATICAL, QuestionType.TEMPORAL, QuestionType.MULTI_HOP

Counts = tuple[int, int, int, int]
"""Both right, won, lost, both wrong."""


def _row(problem_id: str, kind: QuestionType, correct: bool) -> ReportRow:
    return ReportRow(
        problem_id=problem_id,
        trace_id=f"trace_{problem_id}",
        type=kind,
        family="any",
        difficulty=1,
        answer="x",
        correct=correct,
        strict=False,
        outcome=Outcome.ANSWERED,
        calls=1,
        tool_calls=0,
        tokens=None,
        seconds=0.1,
    )


def _report(rows: list[ReportRow], version: str | None, **changes: object) -> Report:
    fields = {"suite_hash": "s" * 64, "model": "pocket", "model_version": version, "temperature": 0.0, "seed": 0}
    return Report.model_validate({**fields, "rows": tuple(rows), **changes})


def _reports(by_type: dict[QuestionType, Counts]) -> tuple[Report, Report]:
    before, after = [], []
    for kind, (both, won, lost, neither) in by_type.items():
        results = [(True, True)] * both + [(False, True)] * won + [(True, False)] * lost + [(False, False)] * neither
        for number, (old, new) in enumerate(results):
            before.append(_row(f"{kind}_{number}", kind, old))
            after.append(_row(f"{kind}_{number}", kind, new))
    return _report(before, None), _report(after, "v1")


def _decide(by_type: dict[QuestionType, Counts], **settings: float) -> Decision:
    champion, candidate = _reports(by_type)
    return decide(
        champion, candidate, candidate_id="v1", champion_id=None, settings=GateSettings.model_validate(settings)
    )


def _check(decision: Decision, name: str) -> Check:
    return next(check for check in decision.checks if check.name == name)


def test_a_clear_gain_in_every_type_is_promoted() -> None:
    decision = _decide({_MATHS: (70, 50, 2, 18), _TIME: (60, 60, 5, 11), _HOPS: (70, 40, 3, 15)})
    assert decision.verdict is Verdict.PROMOTE
    assert (decision.candidate, decision.champion, decision.suite_hash) == ("v1", None, "s" * 64)
    assert decision.p_value is not None
    assert decision.p_value < 1e-20
    assert decision.problems_needed is None
    assert [check.name for check in decision.checks if check.name.startswith("not_inferior")] == [
        "not_inferior:mathematical",
        "not_inferior:multi_hop",
        "not_inferior:temporal",
    ]
    assert all(check.passed for check in decision.checks)


def test_explanations_are_sentences_with_the_figures() -> None:
    decision = _decide({_MATHS: (10, 30, 10, 50)})
    assert "solved 40 of 100 problems, the champion 20: +20.0 points" in _check(decision, "minimum_effect").explanation
    assert "30 problems were solved by the candidate alone, 10" in _check(decision, "paired_test").explanation
    for check in decision.checks:
        assert check.explanation[0].isupper() or check.explanation[0].isdigit()
        assert check.explanation.endswith(".")


def test_one_type_that_falls_twenty_points_is_rejected_whatever_the_others_gain() -> None:
    decision = _decide({_MATHS: (40, 100, 0, 0), _TIME: (40, 96, 0, 0), _HOPS: (60, 7, 33, 28)})
    assert decision.verdict is Verdict.REJECT
    failed = [check.name for check in decision.checks if not check.passed]
    assert failed == ["not_inferior:multi_hop"]
    assert "-20.3 points" in _check(decision, "not_inferior:multi_hop").explanation


def test_no_gain_is_rejected() -> None:
    for counts in ((50, 0, 0, 50), (40, 10, 10, 40), (40, 5, 15, 40)):
        decision = _decide({_MATHS: counts})
        assert decision.verdict is Verdict.REJECT
        assert decision.problems_needed is None
    assert _decide({_MATHS: (50, 0, 0, 50)}).p_value is None


def test_a_gain_that_is_certain_but_too_small_is_rejected() -> None:
    decision = _decide({_MATHS: (900, 15, 0, 85)})
    assert _check(decision, "paired_test").passed
    assert decision.verdict is Verdict.REJECT
    assert _decide({_MATHS: (900, 15, 0, 85)}, minimum_effect=0.01).verdict is Verdict.PROMOTE


def test_a_gain_of_exactly_the_minimum_is_enough() -> None:
    assert _check(_decide({_MATHS: (0, 7, 0, 343)}), "minimum_effect").passed
    assert _check(_decide({_MATHS: (0, 29, 22, 299)}), "minimum_effect").passed


def test_a_gain_on_too_few_problems_says_how_many_would_be_enough() -> None:
    decision = _decide({_MATHS: (10, 6, 2, 12)})
    assert decision.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert decision.problems_needed is not None
    assert decision.problems_needed > 30
    # With the same rates on so many problems, the same gate decides.
    times = math.ceil(decision.problems_needed / 30)
    assert _decide({_MATHS: (10 * times, 6 * times, 2 * times, 12 * times)}).verdict is Verdict.PROMOTE


def test_a_type_with_too_few_problems_is_not_enough_evidence_in_proportion() -> None:
    decision = _decide({_MATHS: (40, 150, 2, 8), _TIME: (4, 0, 0, 6)})
    assert [check.name for check in decision.checks if not check.passed] == ["not_inferior:temporal"]
    assert decision.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert decision.problems_needed is not None
    times = math.ceil(decision.problems_needed / 210)
    assert times >= 2
    more = {_MATHS: (40 * times, 150 * times, 2 * times, 8 * times), _TIME: (4 * times, 0, 0, 6 * times)}
    assert _decide(more).verdict is Verdict.PROMOTE


def test_attempts_share_the_error_budget_and_the_check_says_so() -> None:
    counts = {_MATHS: (60, 8, 0, 12)}  # p = 1/256
    alone, shared = _decide(counts), _decide(counts, attempts=3)
    assert alone.verdict is Verdict.PROMOTE
    assert shared.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert shared.problems_needed is not None
    assert _check(shared, "paired_test").required == pytest.approx(0.01 / 3)
    assert "allowed is 0.0033, one of 3 rounds' equal parts of 0.01" in _check(shared, "paired_test").explanation


def test_rows_are_paired_by_problem_and_not_by_position() -> None:
    champion, candidate = _reports({_MATHS: (20, 30, 5, 10), _TIME: (20, 20, 1, 30)})
    rows = list(candidate.rows)
    random.Random(5).shuffle(rows)
    shuffled = candidate.model_copy(update={"rows": tuple(rows)})
    decisions = [decide(champion, each, candidate_id="v1", champion_id=None) for each in (candidate, shuffled)]
    assert decisions[0] == decisions[1]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("same_suite", {"suite_hash": "t" * 64}),
        ("same_temperature", {"temperature": 1.0}),
        ("named_versions", {"model_version": "v2"}),
        ("named_versions", {"model_version": None}),
        ("same_problems", {"rows": ()}),
    ],
)
def test_reports_that_cannot_be_compared_are_refused(name: str, changes: dict[str, object]) -> None:
    champion, candidate = _reports({_MATHS: (10, 80, 0, 10)})
    decision = decide(champion, candidate.model_copy(update=changes), candidate_id="v1", champion_id=None)
    assert decision.verdict is Verdict.REJECT
    assert [check.name for check in decision.checks if not check.passed] == [name]
    assert decision.p_value is None


def test_swapped_reports_are_refused() -> None:
    champion, candidate = _reports({_MATHS: (10, 0, 80, 10)})
    decision = decide(candidate, champion, candidate_id="v1", champion_id=None)
    assert decision.verdict is Verdict.REJECT
    assert not _check(decision, "named_versions").passed
    assert _check(decision, "named_versions").observed == 0


@pytest.mark.parametrize("fault", ["missing", "other", "twice"])
def test_reports_on_other_problems_are_refused(fault: str) -> None:
    champion, candidate = _reports({_MATHS: (10, 80, 0, 10)})
    rows = list(candidate.rows)
    if fault == "missing":
        rows = rows[:-1]
    else:
        rows[-1] = rows[0] if fault == "twice" else _row("another", _MATHS, True)
    decision = decide(champion, candidate.model_copy(update={"rows": tuple(rows)}), candidate_id="v1", champion_id=None)
    assert decision.verdict is Verdict.REJECT
    assert [check.name for check in decision.checks if not check.passed] == ["same_problems"]


def test_two_empty_reports_are_refused() -> None:
    assert decide(_report([], None), _report([], "v1"), candidate_id="v1", champion_id=None).verdict is Verdict.REJECT


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_a_candidate_that_is_no_better_is_promoted_at_most_alpha_of_the_time(alpha: float) -> None:
    # Every outcome of 20 pairs, with its exact chance, for candidates as good as the champion or worse.
    n = 20
    promoted = []
    for won in range(n + 1):
        for lost in range(min(n - won, won) + 1):
            decision = _decide({_MATHS: (0, won, lost, n - won - lost)}, alpha=alpha)
            if decision.verdict is Verdict.PROMOTE:
                promoted.append((won, lost))
    assert promoted
    highest = 0.0
    for loss_rate in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5):
        for win_rate in (loss_rate, loss_rate - 0.05):
            chance = sum(
                math.comb(n, won)
                * math.comb(n - won, lost)
                * win_rate**won
                * loss_rate**lost
                * (1 - win_rate - loss_rate) ** (n - won - lost)
                for won, lost in promoted
            )
            highest = max(highest, chance)
            assert chance <= alpha, (win_rate, loss_rate)
    assert highest > alpha / 5  # the level is used, not given away


def test_loops_with_one_type_down_twenty_points_are_hardly_ever_promoted() -> None:
    # What "no type significantly down" let through 87 % of the time.
    rng = random.Random(9)

    def drawn(n: int, win_rate: float, loss_rate: float) -> Counts:
        draws = rng.choices(range(4), weights=(0.4, win_rate, loss_rate, 0.6 - win_rate - loss_rate), k=n)
        return (draws.count(0), draws.count(1), draws.count(2), draws.count(3))

    verdicts = [
        _decide({_MATHS: drawn(140, 0.4, 0.02), _TIME: drawn(136, 0.4, 0.02), _HOPS: drawn(128, 0.05, 0.25)}).verdict
        for _ in range(40)
    ]
    assert verdicts.count(Verdict.PROMOTE) == 0


def test_the_decision_survives_storing() -> None:
    decision = _decide({_MATHS: (10, 6, 2, 12)})
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
