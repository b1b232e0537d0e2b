"""The conformance checks notice plugins that break their kind's promises; tools and strategies have their own."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import ConformanceError
from langgraph_ratchet.grading import conformance as of_graders, get_grader
from langgraph_ratchet.problems import Item, conformance as of_families, get_family
from langgraph_ratchet.problems.family import at_once
from langgraph_ratchet.training import conformance as of_trainers
from langgraph_ratchet.training.dataset import read_dataset
from langgraph_ratchet.training.trainers import TRAINERS

_GRADER = """
import re
from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading.judgement import Judgement
VERSION, GOLD = 1, (AnswerKey(value="70707", grader="mine"),)
def judge(key, answer):
    if not key.value.strip():
        raise BadInputError("no value")
    right = key.value in answer
    return Judgement(answer.strip() == key.value, right, BODY)
"""


@pytest.mark.parametrize(
    ("body", "check", "said"),
    [
        ("str(eval(answer))", of_graders.check_hostile_answers_do_no_harm, "no grader may: compile"),
        ("str(1 // (len(answer) < 1000))", of_graders.check_hostile_answers_do_no_harm, "ZeroDivisionError"),
        ("'x' * 1000", of_graders.check_hostile_answers_do_no_harm, "a reason is short"),
        ("str(len(__import__('os').listdir('/')))", of_graders.check_the_worker_agrees, "no grader may: os.listdir"),
    ],
)
def test_a_grader_that_does_what_none_may(
    install: Callable[..., Path], body: str, check: Callable[[Any], None], said: str
) -> None:
    # Each under a name of its own: a grading process, once started, keeps its grader.
    name = f"mine_{abs(hash((body, said))) % 10**8}"
    install("acme", _GRADER.replace('"mine"', f'"{name}"').replace("BODY", body), graders={name: "acme"})
    with pytest.raises(ConformanceError, match=said):
        check(get_grader(name))


def test_a_grader_that_is_fooled() -> None:
    number = get_grader("number")
    lax = dataclasses.replace(number, judge=lambda key, answer: number.judge(key, answer + " " + key.value))
    with pytest.raises(ConformanceError, match="is wrong for"):
        of_graders.check_filler_is_wrong(lax)
    strict = dataclasses.replace(number, gold=(AnswerKey(value="seven", grader="number"),))
    with pytest.raises(Exception, match="not a number"):
        of_graders.check_gold_is_right(strict)


class Spoilt:
    """The family `weekday`, with some of its parts replaced."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(get_family("weekday"), name)


def _wrong_draw(level: int, rng: random.Random) -> Item:
    return dataclasses.replace(get_family("weekday").draw(level, rng), answer="Noday")


def _random_draw(level: int, rng: random.Random) -> Item:
    return get_family("weekday").draw(level, random.Random())


def _mood_draw(level: int, rng: random.Random) -> Item:
    item = get_family("weekday").draw(level, random.Random(rng.randrange(50)))
    return dataclasses.replace(item, parameters={**item.parameters, "mood": rng.randrange(99)})


@pytest.mark.parametrize(
    ("parts", "check", "said"),
    [
        ({"draw": _wrong_draw}, of_families.check_keys, "the second solver confirms every key; got .*Noday"),
        ({"draw": _random_draw}, of_families.check_draws, "equal seeds draw equal items"),
        ({"size": lambda level: 10}, of_families.check_sizes, "has at most the 10 items"),
        ({"size": lambda level: 50_000}, of_families.check_sizes, "1500 draws of 50000 items give about"),
        ({"draw": _mood_draw, "size": lambda level: 10**9}, of_families.check_parameters, "only one set of parameters"),
        ({"expert": lambda q: at_once("day", get_family("weekday").solve(q))}, of_families.check_expert, "expert uses"),
        (
            {"novice": lambda q, rng: at_once("day", get_family("weekday").solve(q))},
            of_families.check_novice,
            "mostly wrong; got 40 of 40",
        ),
        ({"solve": lambda q: "Monday"}, of_families.check_other_questions_are_refused, "`solve` raises ValueError"),
        ({"levels": (2, 1)}, of_families.check_levels, "levels rise"),
    ],
)
def test_a_family_that_breaks_a_promise(parts: dict[str, Any], check: Callable[[Any], None], said: str) -> None:
    with pytest.raises(ConformanceError, match=said):
        check(Spoilt(**parts))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_a_trainer_that_learns_everything_it_sees(tmp_path: Path) -> None:
    def greedy(job: Any, say: Any) -> Any:
        dataset = read_dataset(job.dataset)
        every = [
            example.model_copy(update={"loss_mask": (1,) * len(example.loss_mask)}) for example in dataset.examples
        ]
        path = job.out.with_name("every.json")
        path.write_text(dataset.model_copy(update={"examples": tuple(every)}).model_dump_json())
        return TRAINERS.load("sft")(job.model_copy(update={"dataset": path}), say)

    with pytest.raises(ConformanceError, match="nothing from tokens that are not under the loss"):
        of_trainers.check_only_own_tokens_are_learned(greedy)
    with pytest.raises(ConformanceError, match="leaves .* nothing else"):
        of_trainers.check_leaves_an_adapter(lambda job, say: job.out.mkdir())
