"""Accuracy against figures worked out elsewhere."""

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from langgraph_ratchet.core.accuracy import Accuracy

# Wilson score intervals without continuity correction. The first is Newcombe's (1998) worked example, 81 of 263:
# 0.2553 to 0.3662; he gives 15 of 148 as 0.0624 to 0.1605, 0 of 20 as 0 to 0.1611 and 1 of 29 as 0.0061 to 0.1718.
NEWCOMBE_1998 = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]


@pytest.mark.parametrize(("correct", "n", "low", "high"), NEWCOMBE_1998)
def test_the_interval_is_wilsons(correct: int, n: int, low: float, high: float) -> None:
    assert Accuracy(correct=correct, n=n).interval == pytest.approx((low, high), abs=5e-5)


def test_nothing_measured_is_not_zero() -> None:
    nothing = Accuracy(correct=0, n=0)
    assert nothing.value is None
    assert nothing.interval == (0.0, 1.0)
    assert Accuracy(correct=0, n=4).value == 0.0


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_value_and_mirrors(counts: tuple[int, int]) -> None:
    correct, n = counts
    accuracy = Accuracy(correct=correct, n=n)
    low, high = accuracy.interval
    value = accuracy.value
    assert value is not None
    assert 0.0 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1.0
    mirrored = Accuracy(correct=n - correct, n=n).interval
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Accuracy(correct=-1, n=3)
