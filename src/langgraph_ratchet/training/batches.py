"""Batches of about equally long rows, under a budget of tokens."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def cut_batches(rows: Sequence[int], lengths: npt.NDArray[np.int64], batch_tokens: int) -> list[list[int]]:
    """Cuts `rows` into batches of at most `batch_tokens` tokens, padding included, and one row at least.

    Args:
        rows: row numbers in rising order of length: neighbours go into one batch.
        lengths: tokens by row number.
        batch_tokens: the budget.
    """
    batches: list[list[int]] = []
    for row in rows:
        # The newest row is the longest so far, and the others are padded to it.
        if batches and lengths[row] * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def plan_epochs(lengths: npt.NDArray[np.int64], *, epochs: int, batch_tokens: int, seed: int) -> list[list[list[int]]]:
    """Batches of each epoch; every row is in each epoch once, among other neighbours each time.

    Args:
        lengths: tokens by row number.
        epochs: how many.
        batch_tokens: tokens of a batch, padding included.
        seed: of the order.
    """
    random = np.random.default_rng(seed)
    planned = []
    for _ in range(epochs):
        # Shuffled before sorting: rows of equal length come in another order each time.
        shuffled = random.permutation(len(lengths))
        batches = cut_batches(shuffled[np.argsort(lengths[shuffled], kind="stable")].tolist(), lengths, batch_tokens)
        planned.append([batches[position] for position in random.permutation(len(batches))])
    return planned
