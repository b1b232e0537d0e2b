"""One conformance test over every family; a new family file is tested by being there."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import islice

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.core.errors import UnconfirmedKeyError, UnknownNameError
from langgraph_ratchet.core.problem import Split
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.problems import Expert, Family, Item, families, get_family, make_problem
from langgraph_ratchet.problems.generate import ProblemStream
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.runner import run_tool

LEVELS = [(name, level) for name in families() for level in get_family(name).levels]
ITEMS = 300
PLAYED = 40
_TOOLS = {tool.name: tool for tool in get_tools()}


def play(question: Question, policy: Expert) -> tuple[str, list[str]]:
    """The policy's answer when its moves are carried out, and the tools it used."""
    outputs: list[str] = []
    used: list[str] = []
    while move := policy.next_call(outputs):
        call = ToolCall(name=move.tool, args=dict(move.arguments), id="1")
        result = run_tool(_TOOLS[move.tool], call, question.attachments)
        assert not result.failed, result.text
        assert len(result.text) < 200
        outputs.append(result.text)
        used.append(move.tool)
        assert len(outputs) <= 10
    assert policy.answer(outputs) in policy.conclusion(outputs)
    return policy.answer(outputs), used


def items(name: str, level: int, count: int) -> list[Item]:
    rng = random.Random(f"{name} {level}")
    return [get_family(name).draw(level, rng) for _ in range(count)]


def test_families_are_found_by_their_files() -> None:
    assert set(families()) >= {"chain_sum", "date_shift", "weekday", "fact_chain"}
    assert all(get_family(name).name == name for name in families())
    with pytest.raises(UnknownNameError, match="known: chain_sum, date_shift"):
        get_family("names")


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_the_second_solver_confirms_every_key(name: str, level: int) -> None:
    family = get_family(name)
    for item in items(name, level, ITEMS):
        problem = make_problem(family, level, item, seed=None)
        assert problem.key.question_id == problem.question.id
        assert problem.question.type is family.type
        assert problem.difficulty == level
        assert problem.key.value == item.answer


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_texts_are_short_and_plain(name: str, level: int) -> None:
    for item in items(name, level, ITEMS):
        assert len(item.question.text) < 200
        assert all(len(attachment.text) < 200 for attachment in item.question.attachments)
        assert item.question.text.isascii()
        assert item.question.text.isprintable()


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_the_expert_is_right_with_the_real_tools(name: str, level: int) -> None:
    family = get_family(name)
    for item in items(name, level, PLAYED):
        expert = family.expert(item.question)
        answer, used = play(item.question, expert)
        assert answer == item.answer, item.question.text
        assert set(used) == set(family.tools)
        assert len(used) == family.key(item).expected_steps
        assert expert.plan
        assert expert.strategy in {"direct", "deductive", "inductive"}


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_the_novice_is_mostly_wrong(name: str, level: int) -> None:
    family, rng = get_family(name), random.Random(0)
    right = sum(
        play(item.question, family.novice(item.question, rng))[0] == item.answer for item in items(name, level, PLAYED)
    )
    assert right <= 0.45 * PLAYED


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_policies_read_the_question_alone(name: str, level: int) -> None:
    """Neither the expert's nor the novice's first move depends on anything but the question and the seed."""
    family = get_family(name)
    (item,) = items(name, level, 1)
    again = Question.model_validate(item.question.model_dump())
    assert family.expert(again).next_call([]) == family.expert(item.question).next_call([])
    novices = [family.novice(question, random.Random(5)) for question in (again, item.question)]
    assert novices[0].next_call([]) == novices[1].next_call([])
    assert novices[0].plan == novices[1].plan


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_equal_state_of_the_generator_draws_equal_items(name: str, level: int) -> None:
    family = get_family(name)
    drawn = [family.draw(level, random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0].parameters != drawn[2].parameters


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_parameters_mean_the_same_problem(name: str, level: int) -> None:
    """Equal parameters: equal text and answer. Different ones: different texts or facts."""
    by_parameters: dict[str, set[tuple[str, str]]] = {}
    for item in items(name, level, ITEMS):
        by_parameters.setdefault(str(item.parameters), set()).add((item.question.text, item.answer))
    assert all(len(told) == 1 for told in by_parameters.values())
    assert len(by_parameters) <= get_family(name).size(level)


def test_stated_sizes_are_true_where_they_can_be_counted() -> None:
    """Drawing often from a small level approaches its stated size and does not pass it."""
    weekday = get_family("weekday")
    rng = random.Random(0)
    draws = 6 * weekday.size(1)
    seen = {str(weekday.draw(1, rng).parameters) for _ in range(draws)}
    assert 0.99 * weekday.size(1) < len(seen) <= weekday.size(1)


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_answers_are_spread(name: str, level: int) -> None:
    """No answer is so common that it could be guessed."""
    counts = Counter(item.answer for item in items(name, level, ITEMS))
    assert counts.most_common(1)[0][1] < 0.25 * ITEMS


@pytest.mark.parametrize("name", families())
def test_a_question_of_another_family_is_refused(name: str) -> None:
    family, other = get_family(name), Question(text="Who wrote Don Quixote?")
    with pytest.raises(ValueError, match="Don Quixote"):
        family.solve(other)
    with pytest.raises(ValueError, match="Don Quixote"):
        family.expert(other)


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
