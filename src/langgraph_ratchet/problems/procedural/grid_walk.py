"""Where a walk on a grid ends. Level L has L moves along each axis, those east and west first.

The walk stays between 0 and 99 on both axes, so no coordinate has a sign or a third digit.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.problems.family import Expert, Item, Move, Script

_STARTS = range(20, 80)
_LENGTHS = range(1, 21)
_GRID = range(100)
_DIRECTIONS = {"east": (1, 0), "west": (-1, 0), "north": (0, 1), "south": (0, -1)}
_QUESTION = re.compile(r"Start at \((\d+), (\d+)\)\. Go (?P<moves>.+)\. Where do you end\?")
_MOVE = re.compile(r"(east|west|north|south) (\d+)")
_PLAN = ("Add the moves east and west with calculator.", "Add the moves north and south with calculator.")


class GridWalk:
    """Walks: "Start at (12, 30). Go east 5, west 3, north 7, south 2. Where do you end?"."""

    name = "grid_walk"
    type = QuestionType.SPATIAL
    levels: tuple[int, ...] = (1, 2, 3, 4)
    tools: tuple[str, ...] = ("calculator",)

    def size(self, level: int) -> int:
        """Exact: walks along one axis that stay on the grid and end elsewhere, times those along the other."""
        return _walks(level) ** 2

    def draw(self, level: int, rng: random.Random) -> Item:
        """A walk that ends elsewhere on both axes, so that no axis can be forgotten."""
        (x, east), (y, north) = (_draw_axis(level, rng) for _ in range(2))
        moves = [("east" if step > 0 else "west", abs(step)) for step in east]
        moves += [("north" if step > 0 else "south", abs(step)) for step in north]
        told = ", ".join(f"{direction} {length}" for direction, length in moves)
        question = Question(type=self.type, text=f"Start at ({x}, {y}). Go {told}. Where do you end?")
        answer = _point(x + sum(east), y + sum(north))
        return Item(question, answer, {"start": [x, y], "moves": [list(move) for move in moves]})

    def solve(self, question: Question) -> str:
        """Walks on the grid, one step after the other."""
        asked = _Asked.read(question)
        x, y = asked.start
        for direction, length in asked.moves:
            right, up = _DIRECTIONS[direction]
            for _ in range(length):
                x, y = x + right, y + up
        return _point(x, y)

    def key(self, item: Item) -> AnswerKey:
        """Graded as an exact point."""
        return AnswerKey(value=item.answer, grader="exact", question_id=item.question.id, expected_steps=2)

    def expert(self, question: Question) -> Expert:
        """Adds up each axis with the calculator."""
        asked = _Asked.read(question)
        moves = tuple(Move("calculator", {"expression": asked.sum(axis)}) for axis in (0, 1))
        return Script("direct", _PLAN, "point", _both, moves)

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """Forgets the moves north and south."""
        asked = _Asked.read(question)
        move = Move("calculator", {"expression": asked.sum(0)})

        def first_alone(outputs: Sequence[str]) -> str:
            return _both((*outputs, str(asked.start[1])))

        return Script("direct", _PLAN[:1], "point", first_alone, (move,))


@dataclass(frozen=True)
class _Asked:
    """What the question's text says."""

    start: tuple[int, int]
    moves: tuple[tuple[str, int], ...]

    @classmethod
    def read(cls, question: Question) -> "_Asked":
        found = _QUESTION.fullmatch(question.text)
        moves = tuple((direction, int(length)) for direction, length in _MOVE.findall(found["moves"])) if found else ()
        if not found or not moves:
            raise ValueError(f"no walk in {question.text!r}")
        return cls((int(found[1]), int(found[2])), moves)

    def sum(self, axis: int) -> str:
        """The sum that gives where the walk ends on one axis: "12 + 5 - 3"."""
        signed = [(_DIRECTIONS[direction][axis], length) for direction, length in self.moves]
        terms = [f" {'+' if sign > 0 else '-'} {length}" for sign, length in signed if sign]
        return str(self.start[axis]) + "".join(terms)


def _draw_axis(n_moves: int, rng: random.Random) -> tuple[int, list[int]]:
    """A start and as many steps, negative ones going back; drawn anew until it is a walk as `_walks` counts them."""
    while True:
        start = position = rng.choice(_STARTS)
        steps = [rng.choice((1, -1)) * rng.choice(_LENGTHS) for _ in range(n_moves)]
        on_grid = all((position := position + step) in _GRID for step in steps)
        if on_grid and position != start:
            return start, steps


@cache
def _walks(n_moves: int) -> int:
    """How many walks of one axis there are."""
    total = 0
    for start in _STARTS:
        ways = {start: 1}
        for _ in range(n_moves):
            onward: dict[int, int] = {}
            for position, n in ways.items():
                for step in (sign * length for sign in (1, -1) for length in _LENGTHS):
                    if position + step in _GRID:
                        onward[position + step] = onward.get(position + step, 0) + n
            ways = onward
        total += sum(ways.values()) - ways.get(start, 0)
    return total


def _point(x: int, y: int) -> str:
    return f"({x}, {y})"


def _both(outputs: Sequence[str]) -> str:
    """The point of two results; "unknown" while one is missing."""
    return f"({outputs[0]}, {outputs[1]})" if len(outputs) == 2 else "unknown"


FAMILY = GridWalk()
