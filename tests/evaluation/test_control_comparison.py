"""Whether curation did the work is said with figures, and only where it was shown."""

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.evaluation.control import CurationVerdict, compare_with_control

Make = Callable[..., Any]


def test_a_candidate_far_better_than_the_control_says_yes(new_reports: Make) -> None:
    found = compare_with_control(*new_reports(lambda n: n < 90, lambda n: n < 50))
    assert found.verdict is CurationVerdict.YES
    assert (found.candidate_alone, found.control_alone) == (40, 0)
    assert (found.candidate.correct, found.control.correct) == (90, 50)
    assert found.difference == pytest.approx(0.4)
    assert 0 < found.low < found.difference < found.high < 1
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.explanation.startswith("Curation did the work: of 100 problems the candidate alone solved 40")
    assert found.problems_needed is None


@pytest.mark.parametrize("control_right", [90, 95])
def test_a_control_as_good_or_better_says_no(new_reports: Make, control_right: int) -> None:
    found = compare_with_control(*new_reports(lambda n: n < 90, lambda n: n < control_right, count=200))
    assert found.verdict is CurationVerdict.NO
    assert found.high < 0.02
    assert "Curation did not do the work" in found.explanation


def test_a_gain_that_chance_could_have_made_is_not_enough_and_says_how_many_would_be(new_reports: Make) -> None:
    found = compare_with_control(*new_reports(lambda n: n < 53, lambda n: n < 50 or n > 98))
    assert found.verdict is CurationVerdict.NOT_ENOUGH_EVIDENCE
    assert found.problems_needed is not None
    assert found.problems_needed > 100
    assert f"About {found.problems_needed} problems would be enough" in found.explanation


def test_few_problems_that_no_pair_differs_on_show_nothing(new_reports: Make) -> None:
    found = compare_with_control(*new_reports(lambda n: n < 5, lambda n: n < 5, count=10))
    assert found.verdict is CurationVerdict.NOT_ENOUGH_EVIDENCE
    assert found.p_value is None
    assert found.problems_needed is None


def test_problems_on_which_one_ran_out_of_time_are_not_compared(new_reports: Make) -> None:
    candidate, control = new_reports(lambda n: True, lambda n: n >= 40)
    rows = [
        row.model_copy(update={"outcome": Outcome.OUT_OF_TIME}) if number < 40 else row
        for number, row in enumerate(control.rows)
    ]
    found = compare_with_control(candidate, control.model_copy(update={"rows": tuple(rows)}))
    assert (found.candidate.n, found.control.correct, found.out_of_time) == (60, 60, 40)
    assert found.verdict is not CurationVerdict.YES
    assert "40 more are left out: one of the two ran out of time" in found.explanation


def test_a_control_that_always_ran_out_of_time_shows_nothing(new_reports: Make) -> None:
    candidate, control = new_reports(lambda n: True, lambda n: False)
    rows = tuple(row.model_copy(update={"outcome": Outcome.OUT_OF_TIME}) for row in control.rows)
    found = compare_with_control(candidate, control.model_copy(update={"rows": rows}))
    assert found.verdict is CurationVerdict.NOT_ENOUGH_EVIDENCE
    assert (found.p_value, found.out_of_time) == (None, 100)


def test_reports_of_other_problems_are_refused(new_reports: Make) -> None:
    candidate, control = new_reports(lambda n: True, lambda n: False)
    with pytest.raises(BadInputError, match="on 100 and 99 problems, 99 of them shared"):
        compare_with_control(candidate, control.model_copy(update={"rows": control.rows[1:]}))
    with pytest.raises(BadInputError, match="same suite"):
        compare_with_control(candidate, control.model_copy(update={"suite_hash": "other"}))
