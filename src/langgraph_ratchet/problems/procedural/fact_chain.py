"""Facts that must be looked up one after the other. Level L asks for L hops.

The facts are attachments: they are not shown with the question and can only be looked up with `documents`.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.question import Attachment, Question, QuestionType
from langgraph_ratchet.problems.family import Expert, Item, Move, Script, at_once
from langgraph_ratchet.problems.names import CITIES, COMPANIES, COUNTRIES, PEOPLE

_NAMES: Mapping[str, tuple[str, ...]] = {
    "person": PEOPLE, "company": COMPANIES, "city": CITIES, "country": COUNTRIES,
}  # fmt: skip
_RELATIONS = {
    "manager": ("person", "person"),
    "company": ("person", "company"),
    "city": ("company", "city"),
    "country": ("city", "country"),
}
_FACTS = (12, 16)
_ASKED = re.compile(r"What is ((?:the \w+ of )+)(\w+)\?")
_FACT = re.compile(r"The (\w+) of (\w+) is (\w+)\.")


def _paths(level: int) -> list[tuple[str, ...]]:
    """All well-typed sequences of `level` relations, first hop first."""
    paths: list[tuple[str, ...]] = [(name,) for name in _RELATIONS]
    for _ in range(level - 1):
        paths = [
            (*path, name) for path in paths for name in _RELATIONS if _RELATIONS[name][0] == _RELATIONS[path[-1]][1]
        ]
    return paths


def _kinds(path: Sequence[str]) -> list[str]:
    """Kinds of the entities along a path, the start included."""
    return [_RELATIONS[path[0]][0], *(_RELATIONS[name][1] for name in path)]


class FactChain:
    """Chains of look-ups: "What is the country of the city of the company of Ada?"."""

    name = "fact_chain"
    type = QuestionType.MULTI_HOP
    levels: tuple[int, ...] = (1, 2, 3, 4)
    tools: tuple[str, ...] = ("documents",)

    def size(self, level: int) -> int:
        """Exact: entities along every path, no person twice."""
        total = 0
        for path in _paths(level):
            kinds = _kinds(path)
            items = 1
            for position, kind in enumerate(kinds):
                items *= len(_NAMES[kind]) - kinds[:position].count(kind)
            total += items
        return total

    def draw(self, level: int, rng: random.Random) -> Item:
        """A chain of facts, and others around it that do not belong to it."""
        path = rng.choice(_paths(level))
        chain: list[str] = []
        for kind in _kinds(path):
            chain.append(rng.choice([name for name in _NAMES[kind] if name not in chain]))
        facts = {(name, chain[hop]): chain[hop + 1] for hop, name in enumerate(path)}
        _add_distractors(facts, path, chain, rng)
        texts = [f"The {name} of {subject} is {value}." for (name, subject), value in facts.items()]
        rng.shuffle(texts)
        asked = " ".join(f"the {name} of" for name in reversed(path))
        question = Question(
            type=self.type,
            text=f"What is {asked} {chain[0]}?",
            attachments=tuple(Attachment(name=f"fact {n}", text=text) for n, text in enumerate(texts, start=1)),
        )
        return Item(question, chain[-1], {"start": chain[0], "relations": list(path), "entities": chain[1:]})

    def solve(self, question: Question) -> str:
        """Reads every fact into a table and walks through it."""
        relations, entity = _read(question)
        everything = "\n".join(item.text for item in question.attachments)
        table = {(name, subject): value for name, subject, value in _FACT.findall(everything)}
        for relation in relations:
            if (relation, entity) not in table:
                raise ValueError(f"no fact tells the {relation} of {entity}")
            entity = table[relation, entity]
        return entity

    def key(self, item: Item) -> AnswerKey:
        """Graded as an exact name."""
        return AnswerKey(
            value=item.answer,
            grader="exact",
            question_id=item.question.id,
            expected_steps=len(item.parameters["relations"]),
        )

    def expert(self, question: Question) -> Expert:
        """Looks up one fact after the other."""
        return _Walk(*_read(question))

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """Stops after the first look-up; when one would be enough, guesses a name instead."""
        relations, start = _read(question)
        if len(relations) == 1:
            return at_once(relations[0], rng.choice(_NAMES[_RELATIONS[relations[0]][1]]))
        first = _Walk(relations[:1], start)
        move = first.next_call(())
        return Script("deductive", first.plan, relations[-1], first.answer, (move,) if move else ())


def _add_distractors(
    facts: dict[tuple[str, str], str], path: Sequence[str], chain: Sequence[str], rng: random.Random
) -> None:
    """Adds facts until there are 12 to 16: about the chain's own entities first, then about others."""
    goal = rng.randint(*_FACTS)
    near = [(name, entity) for name in _RELATIONS for entity in chain if entity in _NAMES[_RELATIONS[name][0]]]
    far = [(name, rng.choice(_NAMES[_RELATIONS[name][0]])) for name in (*path, *_RELATIONS) for _ in range(12)]
    rng.shuffle(near)
    rng.shuffle(far)
    for name, subject in near[: goal // 3] + far:
        if len(facts) < goal and (name, subject) not in facts:
            facts[name, subject] = rng.choice([value for value in _NAMES[_RELATIONS[name][1]] if value != subject])


@dataclass(frozen=True)
class _Walk:
    """One look-up a hop; each names the entity that the one before found."""

    relations: tuple[str, ...]
    start: str
    strategy: str = "deductive"

    @property
    def plan(self) -> tuple[str, ...]:
        return tuple(f"Look up the {relation}." for relation in self.relations)

    def next_call(self, outputs: Sequence[str]) -> Move | None:
        hop, entity = len(outputs), self._entity(outputs)
        if entity is None or hop >= len(self.relations):
            return None
        return Move("documents", {"query": f"{self.relations[hop]} of {entity}"})

    def conclusion(self, outputs: Sequence[str]) -> str:
        return f"The {self.relations[-1]} is {self.answer(outputs)}."

    def answer(self, outputs: Sequence[str]) -> str:
        return self._entity(outputs) or "unknown"

    def _entity(self, outputs: Sequence[str]) -> str | None:
        """Where the walk stands; `None` when an output does not hold the fact that was looked for."""
        entity = self.start
        for relation, output in zip(self.relations, outputs, strict=False):
            values = [value for name, subject, value in _FACT.findall(output) if (name, subject) == (relation, entity)]
            if not values:
                return None
            entity = values[0]
        return entity


def _read(question: Question) -> tuple[tuple[str, ...], str]:
    """The relations, first hop first, and the start."""
    found = _ASKED.fullmatch(question.text)
    if not found:
        raise ValueError(f"no chain of facts in {question.text!r}")
    return tuple(reversed(re.findall(r"the (\w+) of", found[1]))), found[2]


FAMILY = FactChain()
