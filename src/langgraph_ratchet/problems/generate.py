"""Drawing problems: as many distinct ones as a suite asks for, the same ones every time."""

import logging
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Self

from langgraph_ratchet.core.errors import BadInputError, UnconfirmedKeyError
from langgraph_ratchet.core.ids import canonical_json, derive_seed
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.suite import Suite
from langgraph_ratchet.problems import get_family, make_problem
from langgraph_ratchet.problems.family import Family
from langgraph_ratchet.problems.splits import SHARES, split_of

_LOG = logging.getLogger(__name__)
_ROOM = 3
"""A level must have this many times the items asked of it: nearly all of a small level would be no sample of it."""
_DRAWS_PER_PROBLEM = 200
"""Draws before giving up, per problem asked for; 10 are already rare when a level's `size` is true."""


@dataclass
class ProblemStream(Iterator[Problem]):
    """Endless confirmed problems of one level and split, the same ones in the same order for the same seed.

    A problem may come again; how often depends on the level's size.
    """

    family: Family
    level: int
    split: Split
    seed: int
    attempts: int = 0
    """Draws made so far, those of other splits included."""
    discarded: int = field(default=0, init=False)
    """Draws whose key the second solver did not confirm."""

    def __post_init__(self) -> None:
        """Refuses a level that the family does not have."""
        if self.level not in self.family.levels:
            levels = ", ".join(str(level) for level in self.family.levels)
            raise BadInputError(f"family {self.family.name} has no level {self.level}; it has {levels}")

    def __iter__(self) -> Self:
        """Itself."""
        return self

    def __next__(self) -> Problem:
        """The next problem of the split; it ends only by an error of the generator."""
        while True:
            problem = self.attempt()
            if problem is not None:
                return problem

    def attempt(self) -> Problem | None:
        """One draw: a problem, or `None` when it fell into another split or was discarded."""
        seed = derive_seed(self.seed, self.split, self.family.name, self.level, self.attempts)
        self.attempts += 1
        item = self.family.draw(self.level, random.Random(seed))
        if split_of(self.family.name, item.parameters) is not self.split:
            return None
        try:
            return make_problem(self.family, self.level, item, seed)
        except UnconfirmedKeyError as error:
            self.discarded += 1
            _LOG.warning("item discarded: %s", error)
            return None


def generate(suite: Suite, *, known: Collection[str] = ()) -> list[Problem]:
    """The problems of `suite`: per family and level `count` distinct ones of its split, in the suite's order.

    Args:
        suite: what to draw.
        known: ids of problems that were used before; they come only where a level has no others left.

    Raises:
        UnknownNameError: a family does not exist.
        BadInputError: a level does not exist or has too few items for the count asked for.
    """
    problems: list[Problem] = []
    for source in suite.sources:
        family = get_family(source.family)
        for level in source.levels:
            stream = ProblemStream(family, level, suite.split, suite.seed)
            _check_size(family, level, suite.split, source.count)
            problems += _distinct(stream, source.count, known)
    return problems


def _check_size(family: Family, level: int, split: Split, count: int) -> None:
    share = SHARES[split]
    available = int(family.size(level) * share)
    if available < _ROOM * count:
        raise BadInputError(
            f"{family.name} level {level} has about {available} items in the split {split} ({share:.0%} of"
            f" {family.size(level)}); {count} problems need at least {_ROOM * count}: ask for fewer or leave it out"
        )


def _distinct(stream: ProblemStream, count: int, known: Collection[str]) -> list[Problem]:
    """The first `count` problems of the stream with different parameters, `known` ones last."""
    fresh: dict[bytes, Problem] = {}
    again: dict[bytes, Problem] = {}
    while len(fresh) < count and stream.attempts < _DRAWS_PER_PROBLEM * count:
        problem = stream.attempt()
        if problem is not None:
            (again if problem.id in known else fresh).setdefault(canonical_json(problem.provenance), problem)
    found = [*fresh.values(), *again.values()][:count]
    if len(found) < count:
        raise BadInputError(
            f"{stream.family.name} level {stream.level} gave {len(found)} distinct problems of the split"
            f" {stream.split} in {stream.attempts} draws ({stream.discarded} discarded), {count} were wanted"
        )
    return found
