"""Which of the problems that flipped are shown: some of every type and level, always the same."""

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_ratchet.core.visible import percent
from langgraph_ratchet.evaluation.report import find_flips, flips_of
from langgraph_ratchet.evaluation.report.figures import chance, cut, duration, number, plain, points

Make = Callable[..., Any]


def test_both_directions_are_counted_whole_and_shown_in_part(new_reports: Make) -> None:
    found = find_flips(*new_reports(lambda n: n < 20, lambda n: n >= 15), limit=4)
    assert (found.won, found.lost) == (80, 15)
    assert len(found.wins) == len(found.losses) == 4
    assert all(pair.after.correct and not pair.before.correct for pair in found.wins)
    assert all(pair.before.correct and not pair.after.correct for pair in found.losses)
    assert len(found.trace_ids) == 16


def test_they_are_spread_over_types_and_levels(new_reports: Make) -> None:
    found = find_flips(*new_reports(lambda n: False, lambda n: True), limit=6)
    assert sorted(pair.after.type for pair in found.wins) == sorted(["mathematical", "temporal", "multi_hop"] * 2)
    assert len({pair.after.difficulty for pair in found.wins}) > 1


def test_the_choice_does_not_depend_on_the_order_of_rows(new_reports: Make) -> None:
    before, after = new_reports(lambda n: False, lambda n: n % 3 == 1)
    turned = after.model_copy(update={"rows": after.rows[::-1]})
    assert find_flips(before, after) == find_flips(before, turned)


def test_nothing_flipped_is_nothing_to_show(new_reports: Make) -> None:
    found = find_flips(*new_reports(lambda n: True, lambda n: True))
    assert found == ([], [], 0, 0)
    assert flips_of(found, {}, {}).wins == ()


def test_a_problem_that_is_not_known_any_more_is_left_out(new_reports: Make) -> None:
    found = find_flips(*new_reports(lambda n: False, lambda n: True))
    flips = flips_of(found, {}, {})
    assert (flips.won, flips.wins) == (100, ())


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(None), "–"),
        (percent(0.0), "0 %"),
        (percent(0.001), "< 1 %"),
        (percent(0.999), "> 99 %"),
        (percent(0.931), "93 %"),
        (chance(1.0), "10 times in 10"),
        (chance(0.31), "3 times in 10"),
        (chance(0.004), "once in 250"),
        (chance(0.0000123), "once in 81,000"),
        (chance(1e-40), "less than once in a million"),
        (chance(0.0), "less than once in a million"),
        (plain(None), "–"),
        (plain(0.02), "0.02"),
        (plain(-0.1), "−0.1"),
        (plain(2.4e-40), "2.4 × 10⁻⁴⁰"),
        (points(-0.1), "−10.0 points"),
        (points(0.349), "+34.9 points"),
        (number(None), "–"),
        (number(5.0), "5"),
        (number(5.876), "5.88"),
        (number(779.4), "779"),
        (duration(42.4), "42 s"),
        (duration(600), "10 min"),
        (duration(7200), "2.0 h"),
        (cut("abc", 3), "abc"),
        (cut("abcd", 3), "abc … (1 character more)"),
        (cut("\x1b[2J\u202e", 99), "\\x1b[2J\\u202e"),
    ],
)
def test_figures_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown == expected
