"""The conformance checks over every family (a new file is tested by being there), and what only some families have."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import islice

import pytest

from langgraph_ratchet.core.errors import UnconfirmedKeyError, UnknownNameError
from langgraph_ratchet.core.problem import Split
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.problems import Family, Item, families, get_family, make_problem
from langgraph_ratchet.problems.conformance import CHECKS
from langgraph_ratchet.problems.generate import ProblemStream
from langgraph_ratchet.reasoning.strategy import strategies

LEVELS = [(name, level) for name in families() for level in get_family(name).levels]
ITEMS = 300


def items(name: str, level: int, count: int) -> list[Item]:
    rng = random.Random(f"{name} {level}")
    return [get_family(name).draw(level, rng) for _ in range(count)]


def test_families_are_found_by_their_files() -> None:
    assert set(families()) >= {"chain_sum", "date_shift", "weekday", "fact_chain", "entailment", "grid_walk"}
    assert all(get_family(name).name == name for name in families())
    with pytest.raises(UnknownNameError, match="known: chain_sum, date_shift, entailment"):
        get_family("names")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", families())
def test_every_family_keeps_what_families_promise(name: str, check: Callable[[Family], None]) -> None:
    check(get_family(name))


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_experts_reason_with_strategies_that_exist(name: str, level: int) -> None:
    family = get_family(name)
    assert {family.expert(item.question).strategy for item in items(name, level, 40)} <= strategies().keys()


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_texts_are_short_and_plain(name: str, level: int) -> None:
    for item in items(name, level, ITEMS):
        assert len(item.question.text) < 200
        assert all(len(attachment.text) < 200 for attachment in item.question.attachments)
        assert item.question.text.isascii()
        assert item.question.text.isprintable()


def test_facts_of_a_chain_are_well_formed() -> None:
    for level in (1, 2, 3, 4):
        for item in items("fact_chain", level, 100):
            texts = [attachment.text for attachment in item.question.attachments]
            assert 12 <= len(texts) <= 16
            subjects = [text.rsplit(" is ", 1)[0] for text in texts]
            assert len(set(subjects)) == len(texts), "two facts about the same relation and subject"
            chain = [item.parameters["start"], *item.parameters["entities"]]
            assert len(set(chain)) == level + 1


def test_the_expert_survives_any_order_of_the_found_lines() -> None:
    item = items("fact_chain", 2, 1)[0]
    expert = get_family("fact_chain").expert(item.question)
    first, second = item.parameters["relations"]
    start, (middle, last) = item.parameters["start"], item.parameters["entities"]
    outputs = [f"The {second} of {start} is Nobody.\nThe {first} of {start} is {middle}.\nOther."]
    move = expert.next_call(outputs)
    assert move is not None
    assert move.arguments == {"query": f"{second} of {middle}"}
    outputs.append(f"The {second} of {middle} is {last}.\nThe {first} of {start} is {middle}.")
    assert expert.next_call(outputs) is None
    assert expert.answer(outputs) == last


def test_the_expert_stops_when_a_fact_is_not_found() -> None:
    item = items("fact_chain", 3, 1)[0]
    expert = get_family("fact_chain").expert(item.question)
    assert expert.next_call(["nothing found for 'x'"]) is None
    assert expert.answer(["nothing found for 'x'"]) == "unknown"


class Mislabelled:
    """Another family, with a share of wrong keys."""

    def __init__(self, family: Family, wrong: Callable[[random.Random], bool]) -> None:
        self.name, self.type, self.levels, self.tools = family.name, family.type, family.levels, family.tools
        self.size, self.solve, self.key = family.size, family.solve, family.key
        self.expert, self.novice = family.expert, family.novice
        self._family, self._wrong = family, wrong

    def draw(self, level: int, rng: random.Random) -> Item:
        item = self._family.draw(level, rng)
        return Item(item.question, "Noday", item.parameters) if self._wrong(rng) else item


def test_a_wrong_key_is_discarded_and_counted() -> None:
    weekday = get_family("weekday")
    wrong = Mislabelled(weekday, lambda rng: True)
    with pytest.raises(UnconfirmedKeyError, match="generator answers 'Noday', the second solver"):
        make_problem(wrong, 1, wrong.draw(1, random.Random(0)), seed=0)
    stream = ProblemStream(Mislabelled(weekday, lambda rng: rng.random() < 0.3), 1, Split.TRAIN, seed=1)
    problems = list(islice(stream, 50))
    assert stream.discarded > 0
    assert all(weekday.solve(problem.question) == problem.key.value for problem in problems)


def test_claims_are_open_to_all_three_answers() -> None:
    """Neither the claim's form nor the number of premises tells the answer."""
    for level in (1, 2, 3, 4):
        drawn = items("entailment", level, 600)
        for denied in (False, True):
            counts = Counter(item.answer for item in drawn if item.parameters["claim"].startswith("not") is denied)
            assert set(counts) == {"yes", "no", "unknown"}
            assert min(counts.values()) > 0.2 * counts.total()
        assert {len(item.parameters["premises"]) for item in drawn} == {level + 1}
        assert all(len(set(item.parameters["premises"])) == level + 1 for item in drawn)


def test_equal_premises_are_shown_in_one_order() -> None:
    """Another order of the same premises would be another question that may fall into another split."""
    shown: dict[tuple[str, ...], set[str]] = {}
    for item in items("entailment", 1, 20_000):
        shown.setdefault((*item.parameters["premises"], item.parameters["claim"]), set()).add(item.question.text)
    size = get_family("entailment").size(1)
    assert all(len(texts) == 1 for texts in shown.values())
    assert 0.9 * size < len(shown) <= size


def test_premises_that_contradict_each_other_are_refused() -> None:
    text = "Premises: b -> c; b; not c. Is c true: yes, no or unknown?"
    with pytest.raises(ValueError, match="contradict"):
        get_family("entailment").solve(Question(text=text))


def test_the_second_solver_knows_logic() -> None:
    solve = get_family("entailment").solve
    for premises, claim, answer in (
        ("b -> c; not c", "b", "no"),
        ("b -> c; c", "b", "unknown"),
        ("b -> c; not b", "c", "unknown"),
        ("b or not c; not b", "c", "no"),
        ("b and c; c -> not d", "not d", "yes"),
    ):
        text = f"Premises: {premises}. Is {claim} true: yes, no or unknown?"
        assert solve(Question(text=text)) == answer


def test_a_walk_stays_on_the_grid_and_leaves_both_axes() -> None:
    for level in (1, 2, 3, 4):
        for item in items("grid_walk", level, 200):
            x, y = start = tuple(item.parameters["start"])
            for direction, length in item.parameters["moves"]:
                x += {"east": length, "west": -length}.get(direction, 0)
                y += {"north": length, "south": -length}.get(direction, 0)
                assert 0 <= min(x, y) <= max(x, y) <= 99
            assert item.answer == f"({x}, {y})"
            assert x != start[0]
            assert y != start[1]
