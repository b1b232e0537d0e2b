"""The choice grader wants exactly one choice named."""

import pytest

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading import get_grader

_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_LETTERS = ["A", "B", "C", "D"]


def _verdict(value: str, choices: object, answer: str) -> str:
    key = AnswerKey(value=value, grader="choice", arguments={"choices": choices})
    judgement = get_grader("choice").judge(key, answer)
    return "strict" if judgement.strict else "lenient" if judgement.lenient else "wrong"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Tuesday", "strict"),
        ("tuesday", "lenient"),
        ("The day is Tuesday.", "lenient"),
        ("2024-03-05 is a TUESDAY", "lenient"),
        ("Monday? No: it is Tuesday.", "lenient"),
        ("It is not Monday, it is Tuesday.", "lenient"),
        ("Monday is before Tuesday. The answer is Tuesday.", "lenient"),
        ("The answer is Tuesday, not Monday.", "lenient"),
        ("The answer is clear. It must be Tuesday.", "lenient"),
        ("Tuesday. The answer is Tuesday.", "lenient"),
        ("Monday", "wrong"),
        ("Tuesday or Wednesday", "wrong"),
        ("The answer is Tuesday or Wednesday.", "wrong"),
        ("The answer is Tuesday. The answer is Monday.", "wrong"),
        ("It is not Tuesday.", "wrong"),
        ("It isn't a Tuesday.", "wrong"),
        ("Is it Tuesday?", "wrong"),
        ("Tuesdays", "wrong"),
        ("", "wrong"),
        (", ".join(_DAYS), "wrong"),
    ],
)
def test_weekdays(answer: str, verdict: str) -> None:
    assert _verdict("Tuesday", _DAYS, answer) == verdict


@pytest.mark.parametrize(
    ("value", "answer", "verdict"),
    [
        ("B", "B", "strict"),
        ("B", "(B)", "lenient"),
        ("B", "b.", "lenient"),
        ("B", "B) a dog", "lenient"),
        ("B", "The answer is B", "lenient"),
        ("B", "Option B is right.", "lenient"),
        ("A", "A dog is an animal.", "wrong"),
        ("A", "The answer is a dog.", "wrong"),
        ("A", "A, B, C, D", "wrong"),
        ("B", "A or B", "wrong"),
    ],
)
def test_letters(value: str, answer: str, verdict: str) -> None:
    assert _verdict(value, _LETTERS, answer) == verdict


def test_the_longest_choice_is_the_one_named() -> None:
    assert _verdict("New York", ["York", "New York"], "It is New York.") == "lenient"
    assert _verdict("York", ["York", "New York"], "It is New York.") == "wrong"


def test_no_is_a_choice_and_not_a_denial() -> None:
    assert _verdict("no", ["yes", "no"], "No, it does not.") == "lenient"
    assert _verdict("yes", ["yes", "no"], "No, it does not.") == "wrong"
    assert _verdict("yes", ["yes", "no"], "Yes and no") == "wrong"


@pytest.mark.parametrize(
    "choices", [None, "Tuesday", [], ["Monday"], ["Tuesday", 2], ["Tuesday", "tuesday."], ["Tuesday", ""]]
)
def test_choices_that_are_none_make_the_key_unusable(choices: object) -> None:
    with pytest.raises(BadInputError, match="choices"):
        _verdict("Tuesday", choices, "Tuesday")
