import numpy as np
import pytest

from langgraph_ratchet.training.batches import cut_batches, plan_epochs
from langgraph_ratchet.training.learning_rate import learning_rate


def test_batches_stay_under_the_budget_with_padding_and_hold_every_row() -> None:
    lengths = np.array([3, 4, 4, 5, 9, 30])
    assert cut_batches([0, 1, 2, 3, 4, 5], lengths, 12) == [[0, 1, 2], [3], [4], [5]]


def test_each_epoch_has_every_row_once_in_another_order() -> None:
    lengths = np.random.default_rng(0).integers(5, 20, size=100)
    first, second = plan_epochs(lengths, epochs=2, batch_tokens=60, seed=3)
    for epoch in (first, second):
        assert sorted(row for batch in epoch for row in batch) == list(range(100))
        assert all(len(batch) * lengths[batch].max() <= 60 for batch in epoch)
    assert first != second
    padded = sum(len(batch) * lengths[batch].max() for batch in first)
    assert lengths.sum() / padded > 0.93, "rows of a batch have about equal length"
    assert plan_epochs(lengths, epochs=2, batch_tokens=60, seed=3) == [first, second]
    assert plan_epochs(lengths, epochs=2, batch_tokens=60, seed=4) != [first, second]


def test_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate(step, 100, highest=2.0, warmup=0.1) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == 2.0
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    assert learning_rate(1, 1, highest=2.0, warmup=0.0) == 2.0
