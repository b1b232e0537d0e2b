"""Pairs of runs on the same problems: how often only one of two models was right."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from langgraph_ratchet.core.report import Report


class PairCounts(NamedTuple):
    """How the pairs of some problems came out."""

    n: int
    wins: int
    """Solved by the candidate alone."""
    losses: int
    """Solved by the other model alone."""

    @property
    def difference(self) -> float:
        """Accuracy of the candidate less that of the other; 0 when there is no pair."""
        return (self.wins - self.losses) / self.n if self.n else 0.0


def count_pairs(other: Report, candidate: Report) -> tuple[PairCounts, dict[str, PairCounts]]:
    """Pairs overall and by question type; rows are paired by problem, whatever their order.

    Both reports must have one row for each of the same problems.
    """
    before = {row.problem_id: row.correct for row in other.rows}
    pairs: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in candidate.rows:
        pairs[row.type].append((before[row.problem_id], row.correct))
    by_type = {str(name): _counted(pairs[name]) for name in sorted(pairs)}
    return _counted([pair for each in pairs.values() for pair in each]), by_type


def _counted(pairs: Sequence[tuple[bool, bool]]) -> PairCounts:
    return PairCounts(len(pairs), pairs.count((False, True)), pairs.count((True, False)))
