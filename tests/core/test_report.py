"""A report's figures follow from its rows."""

from langgraph_ratchet.core.question import QuestionType
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.core.trace import Outcome


def make_row(kind: QuestionType, correct: bool, **changes: object) -> ReportRow:
    fields = {
        "problem_id": "q_1",
        "trace_id": "trace_1",
        "type": kind,
        "family": "chain_sum",
        "difficulty": 1,
        "answer": "4",
        "correct": correct,
        "strict": False,
        "outcome": Outcome.ANSWERED,
        "calls": 4,
        "tool_calls": 1,
        "tokens": 100,
        "seconds": 0.5,
    }
    return ReportRow.model_validate({**fields, **changes})


def make_report(*rows: ReportRow) -> Report:
    return Report(suite_hash="s", model="pocket", model_version=None, temperature=0.0, seed=1, rows=rows)


def test_accuracy_is_lenient_unless_strict_is_asked() -> None:
    report = make_report(
        make_row(QuestionType.MATHEMATICAL, True, strict=True),
        make_row(QuestionType.MATHEMATICAL, True),
        make_row(QuestionType.TEMPORAL, False),
    )
    assert (report.accuracy().correct, report.accuracy().n) == (2, 3)
    assert report.accuracy(strict=True).correct == 1
    assert report.by_type[QuestionType.MATHEMATICAL].value == 1.0
    assert report.by_type[QuestionType.TEMPORAL].value == 0.0
    assert set(report.by_type) == {QuestionType.MATHEMATICAL, QuestionType.TEMPORAL}


def test_accuracy_by_level_keeps_families_apart() -> None:
    kind = QuestionType.TEMPORAL
    report = make_report(
        make_row(kind, True, family="weekday"),
        make_row(kind, False, family="date_shift"),
        make_row(kind, True, family="date_shift", difficulty=2),
    )
    assert {level: accuracy.correct for level, accuracy in report.by_level.items()} == {
        ("date_shift", 1): 0,
        ("date_shift", 2): 1,
        ("weekday", 1): 1,
    }


def test_means_are_not_measured_when_a_row_lacks_the_figure() -> None:
    kind = QuestionType.TEMPORAL
    report = make_report(make_row(kind, True, tokens=200), make_row(kind, True, tokens=None, calls=6))
    assert report.means["tokens"] is None
    assert report.means["calls"] == 5
    assert make_report(make_row(kind, True)).means["tokens"] == 100
    assert set(make_report().means.values()) == {None}
