"""Whether a claim follows from premises. Level L is a derivation of L steps from L + 1 premises.

Level 1: `b -> c`. 2: also contraposed, `not c -> not b`. 3: also as `not b or c`. 4: the fact is one of two, `b and d`.
The question shows the premises as the tool `logic` reads them.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import perm
from typing import NamedTuple

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.problems.family import Expert, Item, Move, Script, last_output

_LETTERS = tuple("bcdefghjkmnpqrstuvwz")  # no a, i, l, o, x, y: they are words, or look like other signs
_ANSWERS = ("yes", "no", "unknown")
_VERDICTS = {"follows": "yes", "contradicted": "no", "open": "unknown"}
_DENIED = 0.3
"""Share of the letters that are denied; more would make the text long."""
_QUESTION = re.compile(r"Premises: (?P<premises>.+)\. Is (?P<claim>(?:not )?\w) true: yes, no or unknown\?")
_PREMISE = re.compile(r"(not )?(\w)(?: (->|or|and) (not )?(\w))?")


class _Literal(NamedTuple):
    """A letter, or its denial."""

    letter: str
    affirmed: bool

    def __neg__(self) -> "_Literal":
        return _Literal(self.letter, not self.affirmed)

    def __str__(self) -> str:
        return self.letter if self.affirmed else f"not {self.letter}"


class Entailment:
    """Propositional logic: "Premises: b -> c; b. Is c true: yes, no or unknown?"."""

    name = "entailment"
    type = QuestionType.LOGICAL
    levels: tuple[int, ...] = (1, 2, 3, 4)
    tools: tuple[str, ...] = ("logic",)

    def size(self, level: int) -> int:
        """Exact at level 1. Above it a lower bound: the items whose rules are all of the form `b -> c`."""
        literals = perm(len(_LETTERS), level + 1) * 2 ** (level + 1)
        return int(literals * 2 * (1 + level))  # the claim or its denial; no link of the chain reversed, or one of them

    def draw(self, level: int, rng: random.Random) -> Item:
        """A chain from a fact to the claim; for "unknown", one of its links leads the other way."""
        *letters, beside = rng.sample(_LETTERS, level + 2)
        chain = [_Literal(letter, rng.random() >= _DENIED) for letter in letters[:-1]]
        chain.append(_Literal(letters[-1], rng.random() < 0.5))  # so that "not" in the claim does not tell the answer
        answer = rng.choice(_ANSWERS)
        reversed_link = rng.randrange(level) if answer == "unknown" else None
        links = [link if at != reversed_link else link[::-1] for at, link in enumerate(pairwise(chain))]
        fact = str(chain[0]) if level < 4 else " and ".join(_shuffled((str(chain[0]), beside), rng))
        premises = sorted([fact, *(_rule(*link, level, rng) for link in links)])
        denied = answer == "no" or (answer == "unknown" and rng.random() < 0.5)
        claim = -chain[-1] if denied else chain[-1]
        # One order for the same premises, so that the problem cannot come again in another one and another split.
        shown = "; ".join(_shuffled(premises, random.Random("; ".join(premises))))
        text = f"Premises: {shown}. Is {claim} true: yes, no or unknown?"
        return Item(Question(type=self.type, text=text), answer, {"premises": premises, "claim": str(claim)})

    def solve(self, question: Question) -> str:
        """Goes through the truth table: what the claim is in every row in which all premises are true."""
        asked = _Asked.read(question)
        letters = sorted(set(re.findall(r"\b\w\b", f"{asked.premises} {asked.claim}")))
        seen = set()
        for values in product((False, True), repeat=len(letters)):
            row = dict(zip(letters, values, strict=True))
            if all(_is_true(premise, row) for premise in asked.premises.split("; ")):
                seen.add(_is_true(asked.claim, row))
        if not seen:
            raise ValueError(f"the premises contradict each other: {asked.premises}")
        return "unknown" if len(seen) == 2 else "yes" if True in seen else "no"

    def key(self, item: Item) -> AnswerKey:
        """Graded as a choice among yes, no and unknown."""
        return AnswerKey(
            value=item.answer,
            grader="choice",
            question_id=item.question.id,
            arguments={"choices": list(_ANSWERS)},
            expected_steps=1,
        )

    def expert(self, question: Question) -> Expert:
        """Gives premises and claim to the solver, and says what its verdict means."""
        asked = _Asked.read(question)
        move = Move("logic", {"premises": asked.premises, "claim": asked.claim})
        return Script("deductive", ("Test the claim with logic.",), "answer", _meaning, (move,))

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """Answers at once, with one of the two wrong answers."""
        right = self.solve(question)
        wrong = rng.choice([answer for answer in _ANSWERS if answer != right])
        return Script("deductive", ("Answer from memory.",), "answer", lambda _: wrong)


@dataclass(frozen=True)
class _Asked:
    """What the question's text says."""

    premises: str
    claim: str

    @classmethod
    def read(cls, question: Question) -> "_Asked":
        found = _QUESTION.fullmatch(question.text)
        if not found:
            raise ValueError(f"no premises and claim in {question.text!r}")
        return cls(found["premises"], found["claim"])


def _rule(before: _Literal, after: _Literal, level: int, rng: random.Random) -> str:
    """A premise that leads from `before` to `after`, in one of the level's forms."""
    form = rng.choice(("->", "contraposed", "or")[: min(level, 3)])
    if form == "or":
        return " or ".join(_shuffled((str(-before), str(after)), rng))
    return f"{before} -> {after}" if form == "->" else f"{-after} -> {-before}"


def _shuffled(texts: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(list(texts), len(texts))


def _is_true(premise: str, row: dict[str, bool]) -> bool:
    found = _PREMISE.fullmatch(premise)
    if not found:
        raise ValueError(f"cannot read the premise {premise!r}")
    denied, letter, operator, second_denied, second = found.groups()
    left = row[letter] is not bool(denied)
    if operator is None:
        return left
    right = row[second] is not bool(second_denied)
    return {"->": not left or right, "or": left or right, "and": left and right}[operator]


def _meaning(outputs: Sequence[str]) -> str:
    return _VERDICTS.get(last_output(outputs), "unknown")


FAMILY = Entailment()
