"""The exact grader finds a name where a sentence gives it, and not where the name merely occurs."""

import pytest
from hypothesis import given, settings, strategies as st

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.grading import get_grader


def _verdict(value: str, answer: str) -> str:
    judgement = get_grader("exact").judge(AnswerKey(value=value, grader="exact"), answer)
    return "strict" if judgement.strict else "lenient" if judgement.lenient else "wrong"


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("Peru", "peru"),
        ("Peru", "PERU."),
        ("Peru", "“Peru”"),
        ("Peru", "**Peru**"),
        ("Peru", "The country is Peru."),
        ("Peru", "The country of the city of the company of Ada is Peru"),
        ("Peru", "It's Peru!"),
        ("Peru", "He lives in Peru."),
        ("Peru", "Peru is the country."),
        ("Peru", "Peru, because Borel is in Lima."),
        ("Peru", "The country is Peru (in South America)."),
        ("Peru", "The city is Lima. The country is Peru."),
        ("Peru", "Country: Peru"),
        ("Peru", "The answer is Peru. Is there more that you want to know?"),
        ("Peru", "Answer:\nPeru"),
        ("Peru", "not Chile.\nThe answer is Peru"),
        ("Peru", "\\boxed{Peru}"),
        ("Peru", "\uff30eru"),
        ("New York", "It is in new  york"),
        ("New-York", "It is in New York."),
        ("St. Petersburg", "The city is St. Petersburg."),
        ("St. Petersburg", "The city is St Petersburg."),
        ("U.S.", "He lives in the U.S."),
        ("Washington, D.C.", "The city is Washington D.C."),
        ("O'Brien", "It is O’Brien."),
        ("São Paulo", "It is SA\u0303O PAULO."),
        ("C++", "The language is C++."),
        ("not now", "The reply was: Not now!"),
        ("5 May 2024", "It was on 5 May 2024."),
    ],
)
def test_gives_the_value(value: str, answer: str) -> None:
    assert _verdict(value, answer) == "lenient"


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("Peru", "Chile"),
        ("Peru", "The country is Chile."),
        ("Peru", "The country is not Peru."),
        ("Peru", "It isn't Peru."),
        ("Peru", "Peru or Chile"),
        ("Peru", "Either Chile or Peru."),
        ("Peru", "Maybe it is Peru."),
        ("Peru", "Is it Peru?"),
        ("Peru", "The answer is not Peru."),
        ("Peru", "Chile, Peru, Kenya"),
        ("Peru", "The country is Chile, Peru, Kenya."),
        ("Peru", "The country is Peru, Chile."),
        ("Peru", "The country is Peru and Chile."),
        ("Peru", "It is Peru and it is Chile."),
        ("Peru", "It is Peru, it is Chile."),
        ("Peru", "Peru/Chile"),
        ("Peru", "Chile Peru Kenya"),
        ("Peru", "The answer is Chile Peru Kenya"),
        ("Peru", "Chile\nKenya\nPeru"),
        ("Peru", "1. Chile\n2. Kenya\n3. Peru"),
        ("Peru", "The country is Peru. No, the country is Chile."),
        ("Peru", "The answer is Peru. The answer is Chile."),
        ("Peru", "Peruvian"),
        ("Peru", "xPeru"),
        ("Guinea", "The country is Papua New Guinea."),
        ("York", "The city is New York."),
        ("C", "The language is C++."),
        ("5", "It is -5."),
        ("C++", "The language is C."),
    ],
)
def test_does_not_give_the_value(value: str, answer: str) -> None:
    assert _verdict(value, answer) == "wrong"


def test_a_value_without_words_must_be_equal() -> None:
    assert _verdict("...", "...") == "strict"
    assert _verdict("...", "The answer is ...") == "wrong"


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1).filter(str.strip), st.text())
def test_any_text_gets_a_verdict_and_equal_text_is_strictly_right(value: str, other: str) -> None:
    assert _verdict(value, f" {value}\n") == "strict"
    assert _verdict(value, other) in ("strict", "lenient", "wrong")
