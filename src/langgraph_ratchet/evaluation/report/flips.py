"""Problems that one of two models solved and the other did not, with both traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple

from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.core.trace import Trace

SHOWN = 5
"""Problems of each direction."""


@dataclass(frozen=True)
class Flip:
    """A problem that came out otherwise."""

    problem: Problem
    before: Trace | None
    """`None` when the store does not hold it any more."""
    after: Trace | None


@dataclass(frozen=True)
class Flips:
    """All that flipped, counted, and some of each direction."""

    won: int = 0
    """Solved by the candidate alone."""
    lost: int = 0
    """Solved by the champion alone."""
    wins: tuple[Flip, ...] = ()
    losses: tuple[Flip, ...] = ()


@dataclass(frozen=True)
class Pair:
    """The rows of one problem."""

    before: ReportRow
    after: ReportRow


class Found(NamedTuple):
    """What flipped: some pairs of each direction, and how many there are in all."""

    wins: list[Pair]
    losses: list[Pair]
    won: int
    lost: int

    @property
    def trace_ids(self) -> list[str]:
        """Of all runs that are to be shown."""
        return [row.trace_id for pair in (*self.wins, *self.losses) for row in (pair.before, pair.after)]


def find_flips(before: Report, after: Report, *, limit: int = SHOWN) -> Found:
    """At most `limit` pairs won and lost, spread over question types and levels."""
    first = {row.problem_id: row for row in before.rows}
    pairs = [Pair(first[row.problem_id], row) for row in after.rows if row.problem_id in first]
    won = [pair for pair in pairs if pair.after.correct and not pair.before.correct]
    lost = [pair for pair in pairs if pair.before.correct and not pair.after.correct]
    return Found(spread(won, limit), spread(lost, limit), len(won), len(lost))


def spread(pairs: Sequence[Pair], limit: int) -> list[Pair]:
    """At most `limit` of them: the types in turn, of each the levels evenly."""
    by_type: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.after.difficulty, pair.after.problem_id)):
        by_type.setdefault(pair.after.type, []).append(pair)
    share = -(-limit // max(1, len(by_type)))
    columns = [_evenly(by_type[kind], share) for kind in sorted(by_type)]
    turns = chain.from_iterable(zip_longest(*columns))
    return [pair for pair in turns if pair is not None][:limit]


def flips_of(found: Found, problems: Mapping[str, Problem], traces: Mapping[str, Trace]) -> Flips:
    """What was found, with those problems and traces that are known by their ids."""

    def shown(pairs: Sequence[Pair]) -> tuple[Flip, ...]:
        return tuple(
            Flip(problems[pair.after.problem_id], traces.get(pair.before.trace_id), traces.get(pair.after.trace_id))
            for pair in pairs
            if pair.after.problem_id in problems
        )

    return Flips(won=found.won, lost=found.lost, wins=shown(found.wins), losses=shown(found.losses))


def _evenly(pairs: Sequence[Pair], count: int) -> list[Pair]:
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[place * len(pairs) // count] for place in range(count)]
