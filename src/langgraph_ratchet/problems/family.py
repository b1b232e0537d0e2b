"""What a family of problems is: a generator, an independent solver, an expert and a novice.

To add one: a file in `problems/procedural/` named after the family, with an instance of it as `FAMILY`; or, in a
package of your own, an entry point of that name in the group `langgraph_ratchet.problem_families`.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.question import Question, QuestionType


@dataclass(frozen=True)
class Move:
    """A tool call that a policy wants to make."""

    tool: str
    arguments: Mapping[str, str | int]


@dataclass(frozen=True)
class Item:
    """A drawn question and the answer that the generator claims."""

    question: Question
    answer: str
    parameters: Mapping[str, Any]
    """Canonical parameters, as JSON: equal parameters mean the same problem, and decide its split."""


class Expert(Protocol):
    """A policy for one question. It knows the question's text, and the tool results as they come; never the key.

    `outputs` are the texts of the tool results so far, oldest first.
    """

    @property
    def strategy(self) -> str:
        """Name of the strategy it reasons with."""

    @property
    def plan(self) -> tuple[str, ...]:
        """Lines of its plan, without numbers."""

    def next_call(self, outputs: Sequence[str]) -> Move | None:
        """The next tool call, or `None` when it is done."""

    def conclusion(self, outputs: Sequence[str]) -> str:
        """The sentence it ends with."""

    def answer(self, outputs: Sequence[str]) -> str:
        """The final answer alone."""


@dataclass(frozen=True)
class Script:
    """An expert whose moves are known beforehand; only its answer depends on their results."""

    strategy: str
    plan: tuple[str, ...]
    noun: str
    """What the conclusion calls the answer: "result", "date"."""
    read: Callable[[Sequence[str]], str]
    """The answer, from the tool results."""
    moves: tuple[Move, ...] = ()

    def next_call(self, outputs: Sequence[str]) -> Move | None:
        """The move that follows `len(outputs)` results."""
        return self.moves[len(outputs)] if len(outputs) < len(self.moves) else None

    def conclusion(self, outputs: Sequence[str]) -> str:
        """A sentence like "The result is 66."."""
        return f"The {self.noun} is {self.answer(outputs)}."

    def answer(self, outputs: Sequence[str]) -> str:
        """What `read` makes of the results."""
        return self.read(outputs)


def last_output(outputs: Sequence[str]) -> str:
    """The latest tool result; "unknown" when there is none."""
    return outputs[-1] if outputs else "unknown"


def at_once(noun: str, answer: str) -> Script:
    """The habit of answering from memory, without a tool."""
    return Script("direct", ("Answer from memory.",), noun, lambda _: answer)


class Family(Protocol):
    """Problems of one kind, at levels of rising difficulty."""

    name: str
    type: QuestionType
    levels: tuple[int, ...]
    tools: tuple[str, ...]
    """Tools that its problems cannot be expected to be solved without."""

    def size(self, level: int) -> int:
        """How many distinct items a level has, or a lower bound of it."""

    def draw(self, level: int, rng: random.Random) -> Item:
        """One item; the same state of `rng` draws the same item."""

    def solve(self, question: Question) -> str:
        """The answer, from the question alone and by other means than the generator's.

        Raises:
            ValueError: the question is not one of this family.
        """

    def key(self, item: Item) -> AnswerKey:
        """The answer key of an item."""

    def expert(self, question: Question) -> Expert:
        """The policy that solves it."""

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """The tempting policy that mostly fails."""
