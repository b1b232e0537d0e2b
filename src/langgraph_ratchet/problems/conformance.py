"""What every problem family promises, as checks: each takes a family and raises `ConformanceError`."""

import random
from collections import Counter
from collections.abc import Callable, Iterator

from langchain_core.messages import ToolCall

from langgraph_ratchet.core.conformance import require
from langgraph_ratchet.core.errors import UnconfirmedKeyError
from langgraph_ratchet.core.ids import canonical_json
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.grading import grade_many
from langgraph_ratchet.problems import Expert, Family, Item, make_problem
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.runner import run_tool

_ITEMS = 300
_PLAYED = 40
_MOST_CALLS = 20
_COUNTABLE = 50_000
"""Items of a level whose stated size can be checked by drawing `_DRAWS` times."""
_DRAWS = 1_500
_MOST_RIGHT = 0.45
"""Share of the novice's answers that may be right by luck."""
_MOST_COMMON = 0.25
"""Share of the items that may have the same answer, unless it is one of a few choices."""


def _levels(family: Family, count: int) -> Iterator[tuple[str, int, list[Item]]]:
    """Of each level its name, its number and items of it."""
    for level in family.levels:
        rng = random.Random(f"{family.name} {level}")
        yield f"{family.name} level {level}", level, [family.draw(level, rng) for _ in range(count)]


def play(question: Question, policy: Expert) -> tuple[str, list[str]]:
    """The policy's answer when its calls are carried out with the real tools, and the tools it called."""
    outputs: list[str] = []
    used: list[str] = []
    while move := policy.next_call(outputs):
        require(len(used) < _MOST_CALLS, policy.strategy, f"a policy ends after at most {_MOST_CALLS} calls")
        (tool,) = get_tools(move.tool)
        call = ToolCall(name=move.tool, args=dict(move.arguments), id="1")
        result = run_tool(tool, call, question.attachments)
        require(not result.failed, move.tool, "a policy calls tools rightly", result.text)
        outputs.append(result.text)
        used.append(move.tool)
    answer, conclusion = policy.answer(outputs), policy.conclusion(outputs)
    require(answer in conclusion, question.text, f"the conclusion gives the answer {answer!r}", conclusion)
    return answer, used


def check_levels(family: Family) -> None:
    """Levels rise and are difficulties; each has a size; the tools exist."""
    name, levels = family.name, family.levels
    require(levels, name, "has at least one level")
    require(list(levels) == sorted(set(levels)) and levels[0] >= 1 and levels[-1] <= 10, name, "levels rise", levels)
    require(family.type in tuple(QuestionType), name, "its type is a question type", family.type)
    require(all(family.size(level) >= 1 for level in levels), name, "every level has items")
    get_tools(*family.tools)


def check_keys(family: Family) -> None:
    """The second solver confirms every key; the key belongs to its question, and grades its own value as right."""
    for name, level, items in _levels(family, _ITEMS):
        for item in items:
            try:
                problem = make_problem(family, level, item, seed=None)
            except UnconfirmedKeyError as error:
                require(False, name, "the second solver confirms every key", error)
            require(problem.key.question_id == item.question.id, name, "a key names its question")
            require(problem.key.value == item.answer, name, "a key holds the item's answer", problem.key.value)
            require(item.question.type is family.type, name, "questions are of the family's type", item.question.type)
        for grade in grade_many([(family.key(item), item.answer) for item in items[:_PLAYED]]):
            require(grade.strict, name, "a key grades its own value as right", grade.reason)


def check_expert(family: Family) -> None:
    """With the real tools and nothing but the question the expert comes to an answer that is graded as right."""
    for name, _, items in _levels(family, _PLAYED):
        played = [(item, *play(item.question, family.expert(item.question))) for item in items]
        for item, _, used in played:
            steps = family.key(item).expected_steps
            require(set(used) == set(family.tools), name, f"the expert uses {family.tools}", used)
            require(steps is None or len(used) == steps, name, f"the expert makes the expected {steps} calls", used)
            expert = family.expert(item.question)
            require(expert.plan and expert.strategy, name, "the expert has a plan and a strategy")
        for grade in grade_many([(family.key(item), answer) for item, answer, _ in played]):
            require(grade.strict, name, "the expert is right", grade.reason)


def check_novice(family: Family) -> None:
    """The novice mostly fails, and it too only calls tools rightly."""
    rng = random.Random(0)
    for name, _, items in _levels(family, _PLAYED):
        answers = [(family.key(item), play(item.question, family.novice(item.question, rng))[0]) for item in items]
        right = sum(grade.lenient is True for grade in grade_many(answers))
        require(right <= _MOST_RIGHT * len(answers), name, "the novice is mostly wrong", f"{right} of {len(answers)}")


def check_policies_read_the_question_alone(family: Family) -> None:
    """Their moves depend on nothing but the question's content and the seed."""
    for name, _, (item,) in _levels(family, 1):
        again = Question.model_validate(item.question.model_dump())
        for policy in (family.expert, lambda question: family.novice(question, random.Random(5))):
            one, other = policy(again), policy(item.question)
            require(one.next_call([]) == other.next_call([]), name, "equal questions lead to equal calls")
            require(one.plan == other.plan, name, "equal questions lead to equal plans", (one.plan, other.plan))


def check_draws(family: Family) -> None:
    """The same state of the generator draws the same item, another state another one."""
    for level in family.levels:
        name = f"{family.name} level {level}"
        first, same, *others = (family.draw(level, random.Random(seed)) for seed in (1, 1, 2, 3, 4))
        require(first == same, name, "equal seeds draw equal items", (first, same))
        require(any(item.parameters != first.parameters for item in others), name, "other seeds draw other items")


def check_parameters(family: Family) -> None:
    """Parameters are JSON; equal ones tell one question, and a question has only one, so it falls into one split."""
    for name, _, items in _levels(family, _ITEMS):
        texts: dict[bytes, set[tuple[str, str]]] = {}
        parameters: dict[str, set[bytes]] = {}
        for item in items:
            canonical = canonical_json(dict(item.parameters))
            texts.setdefault(canonical, set()).add((item.question.text, item.answer))
            parameters.setdefault(item.question.id, set()).add(canonical)
        told = max(texts.values(), key=len)
        require(len(told) == 1, name, "equal parameters tell the same question", told)
        require(max(map(len, parameters.values())) == 1, name, "a question has only one set of parameters")


def check_sizes(family: Family) -> None:
    """A level has no more items than it says, and no fewer: draws from a small one repeat as rarely as they should."""
    for level in family.levels:
        size = family.size(level)
        if size > _COUNTABLE:
            continue
        rng = random.Random(0)
        seen = {canonical_json(dict(family.draw(level, rng).parameters)) for _ in range(_DRAWS)}
        least = size * (1 - (1 - 1 / size) ** _DRAWS)  # distinct items to be expected of even draws from `size`
        spread = 5 * (_DRAWS - least) ** 0.5 + 5
        name = f"{family.name} level {level}"
        require(len(seen) <= size, name, f"has at most the {size} items that it says", len(seen))
        require(len(seen) >= least - spread, name, f"{_DRAWS} draws of {size} items give about {least:.0f}", len(seen))


def check_answers_are_spread(family: Family) -> None:
    """No answer is so common that it could be guessed; of a few choices, each has nearly the same share."""
    for name, _, items in _levels(family, _ITEMS):
        choices = family.key(items[0]).arguments.get("choices", ())
        most = max(_MOST_COMMON, 1.25 / len(choices) if choices else 0.0)
        answer, count = Counter(item.answer for item in items).most_common(1)[0]
        require(count <= most * len(items), name, f"no answer has more than {most:.0%}", f"{answer!r} {count} times")


def check_other_questions_are_refused(family: Family) -> None:
    """The solver and the expert raise `ValueError` for a question of another family."""
    other = Question(text="Who wrote Don Quixote?")
    for what, function in (("solve", family.solve), ("expert", family.expert)):
        try:
            got = function(other)
        except ValueError:
            continue
        require(False, family.name, f"`{what}` raises ValueError for another family's question", got)


CHECKS: tuple[Callable[[Family], None], ...] = (
    check_levels,
    check_keys,
    check_expert,
    check_novice,
    check_policies_read_the_question_alone,
    check_draws,
    check_parameters,
    check_sizes,
    check_answers_are_spread,
    check_other_questions_are_refused,
)
