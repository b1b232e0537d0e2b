"""Every grader is right about its own gold answers and is not fooled by answers that answer nothing."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import UnknownNameError
from langgraph_ratchet.grading import Grader, get_grader, grade, grader_names
from langgraph_ratchet.grading.conformance import CHECKS

_GOLD = [pytest.param(name, key, id=f"{name}-{key.value}") for name in grader_names() for key in get_grader(name).gold]


def test_the_graders_are_the_files_of_their_folder() -> None:
    assert grader_names() == ("choice", "datetime", "exact", "number")
    for name in grader_names():
        assert get_grader(name).full_name == f"{name}@{get_grader(name).version}"
        assert get_grader(name).gold


def test_an_unknown_grader_is_named_with_those_that_exist() -> None:
    for name in ("nmber", "os", "__init__", "../number", "number.judge", ""):
        with pytest.raises(UnknownNameError, match="choice, datetime, exact, number"):
            get_grader(name)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", grader_names())
def test_every_grader_keeps_what_graders_promise(name: str, check: Callable[[Grader], None]) -> None:
    check(get_grader(name))


_OTHERS = {
    "Peru": ["Chile", "Kenya", "the United States", "Lima"],
    "C++": ["C", "Python", "Go", "C#"],
    "10:30": ["9:30", "11:30", "12:30 pm", "23:59"],
    "2024-04-19T10:30:00": ["2024-04-19T10:31:00", "2024-04-18T10:30:00", "2023-04-19T10:30:00", "1999-01-01T00:00"],
    "2024-02-29T23:59+02:00": [
        "2024-02-29T23:59Z",
        "2024-02-28T23:59+02:00",
        "2024-02-29T22:59+02:00",
        "2024-03-01 00:00 UTC",
    ],
    "number": ["1", "2", "7", "1,000"],
    "datetime": ["2024-04-18", "2024-05-19", "2023-04-19", "19 May 2024"],
}


@pytest.mark.parametrize(("name", "key"), _GOLD)
def test_the_list_of_all_values_is_wrong(name: str, key: AnswerKey) -> None:
    others = [choice for choice in key.arguments.get("choices", ()) if choice != key.value]
    others = others or _OTHERS.get(key.value) or _OTHERS.get(name) or _OTHERS["Peru"]
    # Neither first nor last where there are three, for some graders read the first or the last: that is a guess.
    positions = range(1, max(2, len(others)))
    joints = (" ", ", ", " or ", " and ", "\n", ". ", "/", "; ", " | ")
    for at, joint, before in itertools.product(positions, joints, ("", "The answer is ", "It is ")):
        answer = before + joint.join([*others[:at], key.value, *others[at:]])
        judgement = get_grader(name).judge(key, answer)
        assert not judgement.lenient, (answer, judgement.reason)


@pytest.mark.parametrize("name", grader_names())
def test_a_key_that_cannot_be_used_is_not_a_wrong_answer(name: str) -> None:
    verdict = grade(AnswerKey(value=" ", grader=name), "7")
    assert (verdict.score, verdict.strict, verdict.lenient) == (None, None, None)
    assert "key" in verdict.reason


def test_loading_the_graders_loads_nothing_heavy() -> None:
    # The caller's process imports every grader, for its version.
    program = (
        "import sys; from langgraph_ratchet.grading import *; [get_grader(name) for name in grader_names()];"
        "print(*{'torch', 'transformers', 'sympy', 'math_verify', 'reasoning_gym', 'langgraph'} & {*sys.modules})"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_a_gold_key_survives_json() -> None:
    for param in _GOLD:
        key = param.values[1]
        assert AnswerKey.model_validate(json.loads(key.model_dump_json())) == key
