"""The statistics against brute force: enumeration of every outcome, and the likelihood searched for its maximum."""

import itertools
import math
import random

import pytest

from langgraph_ratchet.evaluation.statistics import (
    difference_lower_bound,
    most_likely_loss_rate,
    paired_p_value,
    pairs_for_bound,
    pairs_for_test,
)


def _chance(n: int, wins: int, losses: int, win_rate: float, loss_rate: float) -> float:
    """Probability of these counts among `n` pairs."""
    ways = math.comb(n, wins) * math.comb(n - wins, losses)
    return ways * win_rate**wins * loss_rate**losses * (1 - win_rate - loss_rate) ** (n - wins - losses)


def _outcomes(n: int) -> list[tuple[int, int]]:
    return [(wins, losses) for wins in range(n + 1) for losses in range(n + 1 - wins)]


@pytest.mark.parametrize("differing", range(1, 13))
def test_the_p_value_counts_every_way_the_pairs_could_have_fallen(differing: int) -> None:
    falls = [sum(coins) for coins in itertools.product((0, 1), repeat=differing)]
    for wins in range(differing + 1):
        expected = sum(fall >= wins for fall in falls) / len(falls)
        assert paired_p_value(wins, differing - wins) == expected


def test_the_p_value_of_no_difference_is_not_measured() -> None:
    assert paired_p_value(0, 0) is None


def test_the_p_value_is_exact_for_large_counts() -> None:
    assert paired_p_value(5000, 5000) == pytest.approx(0.5 + math.comb(10000, 5000) / 2**10001)
    assert paired_p_value(10000, 0) == 0.0  # 2 to the minus 10,000: below what a float holds
    assert paired_p_value(0, 10000) == 1.0
    p = paired_p_value(300, 200)
    assert p is not None
    assert 0 < p < 1e-5


@pytest.mark.parametrize(("wins", "losses"), [(-1, 3), (3, -1)])
def test_negative_counts_are_refused(wins: int, losses: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        paired_p_value(wins, losses)


def test_the_most_likely_loss_rate_maximises_the_likelihood() -> None:
    rng = random.Random(3)

    def log_likelihood(n: int, wins: int, losses: int, win_rate: float, loss_rate: float) -> float:
        rest = 1 - win_rate - loss_rate
        facts = ((wins, win_rate), (losses, loss_rate), (n - wins - losses, rest))
        if any(count and rate <= 0 for count, rate in facts):
            return -math.inf
        return sum(count * math.log(rate) for count, rate in facts if count)

    for _ in range(60):
        n = rng.randint(1, 60)
        wins, losses = sorted(rng.choices(range(n + 1), k=2))
        losses -= wins
        difference = rng.uniform(-0.95, 0.95)
        found = most_likely_loss_rate(wins, losses, n, difference)
        low, high = max(0.0, -difference), (1 - difference) / 2
        grid = [low + (high - low) * step / 500 for step in range(501)]
        best = max(log_likelihood(n, wins, losses, rate + difference, rate) for rate in grid)
        assert log_likelihood(n, wins, losses, found + difference, found) >= best - 1e-9


@pytest.mark.parametrize("n", [10, 25, 40])
def test_the_lower_bound_covers_the_truth_as_often_as_it_says(n: int) -> None:
    bounds = {(w, losses): difference_lower_bound(w, losses, n, confidence=0.9) for w, losses in _outcomes(n)}
    rates = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
    coverage = [
        sum(
            _chance(n, w, losses, win_rate, loss_rate)
            for (w, losses), bound in bounds.items()
            if bound <= win_rate - loss_rate + 1e-12
        )
        for win_rate, loss_rate in itertools.product(rates, rates)
    ]
    assert sum(coverage) / len(coverage) == pytest.approx(0.9, abs=0.02)
    assert min(coverage) > 0.79


@pytest.mark.parametrize("n", [24, 60, 100])
def test_a_type_that_fell_is_passed_as_seldom_as_said(n: int) -> None:
    def shown(wins: int, losses: int) -> bool:
        return difference_lower_bound(wins, losses, n, confidence=0.9) > -0.1

    # With more losses the bound only falls.
    passing = [
        (wins, losses)
        for wins in range(n + 1)
        for losses in itertools.takewhile(lambda losses, wins=wins: shown(wins, losses), range(n + 1 - wins))
    ]

    def passes(loss_rate: float, fall: float) -> float:
        return sum(_chance(n, w, losses, loss_rate - fall, loss_rate) for w, losses in passing)

    for loss_rate in (0.1, 0.15, 0.2, 0.3, 0.4):
        assert passes(loss_rate, 0.1) <= (0.14 if n < 80 else 0.12), loss_rate
    for loss_rate in (0.2, 0.3, 0.4):
        assert passes(loss_rate, 0.2) <= (0.03 if n < 100 else 0.01), loss_rate


def test_the_lower_bound_lies_below_what_was_observed_and_rises_with_evidence() -> None:
    for n, (wins, losses) in itertools.product((20, 50), _outcomes(6)):
        bound = difference_lower_bound(wins, losses, n, confidence=0.9)
        assert -1 <= bound <= (wins - losses) / n
        assert difference_lower_bound(wins * 4, losses * 4, n * 4, confidence=0.9) >= bound
        assert difference_lower_bound(wins, losses, n, confidence=0.99) <= bound
    # No pair differs: Wald's interval would claim certainty.
    assert difference_lower_bound(0, 0, 10, confidence=0.9) == pytest.approx(-(1.2816**2) / (10 + 1.2816**2), abs=1e-4)
    assert difference_lower_bound(0, 1, 1, confidence=0.9) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("wins", "losses", "n", "confidence"), [(1, 1, 1, 0.9), (0, 0, 0, 0.9), (0, 0, 5, 1.0), (0, 0, 5, 0.5)]
)
def test_counts_that_do_not_fit_are_refused(wins: int, losses: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="fit into|confidence"):
        difference_lower_bound(wins, losses, n, confidence=confidence)


def _drawn(rng: random.Random, n: int, win_rate: float, loss_rate: float) -> tuple[int, int]:
    draws = rng.choices((0, 1, 2), weights=(win_rate, loss_rate, 1 - win_rate - loss_rate), k=n)
    return draws.count(0), draws.count(1)


@pytest.mark.parametrize(("win_rate", "loss_rate"), [(0.2, 0.1), (0.3, 0.05), (0.1, 0.0), (0.25, 0.2)])
def test_as_many_pairs_as_are_said_to_be_needed_decide_about_as_often_as_said(
    win_rate: float, loss_rate: float
) -> None:
    needed = pairs_for_test(win_rate, loss_rate, alpha=0.01, power=0.8)
    assert needed is not None
    rng = random.Random(11)
    decided = 0
    for _ in range(500):
        p = paired_p_value(*_drawn(rng, needed, win_rate, loss_rate))
        decided += p is not None and p <= 0.01
    assert 0.68 <= decided / 500 <= 0.92


@pytest.mark.parametrize(("win_rate", "loss_rate"), [(0.05, 0.1), (0.1, 0.1), (0.02, 0.02), (0.3, 0.35)])
def test_as_many_pairs_as_the_bound_needs_show_it_about_as_often_as_said(win_rate: float, loss_rate: float) -> None:
    needed = pairs_for_bound(win_rate, loss_rate, above=-0.1, confidence=0.9, power=0.8)
    assert needed is not None
    rng = random.Random(12)
    shown = sum(
        difference_lower_bound(*_drawn(rng, needed, win_rate, loss_rate), needed, confidence=0.9) > -0.1
        for _ in range(500)
    )
    assert 0.7 <= shown / 500 <= 0.92


def test_no_number_is_enough_where_the_rates_are_against_it() -> None:
    assert pairs_for_test(0.1, 0.1, alpha=0.01, power=0.8) is None
    assert pairs_for_test(0.0, 0.1, alpha=0.01, power=0.8) is None
    assert pairs_for_bound(0.0, 0.1, above=-0.1, confidence=0.9, power=0.8) is None
    assert pairs_for_bound(0.0, 0.2, above=-0.1, confidence=0.9, power=0.8) is None
