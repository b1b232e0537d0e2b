"""The number grader reads the last number, whatever it wears, and is exact about its value."""

import fractions

import pytest
from hypothesis import given, settings, strategies as st

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading import get_grader

_judge = get_grader("number").judge


def _verdict(value: str, answer: str, **arguments: object) -> str:
    judgement = _judge(AnswerKey(value=value, grader="number", arguments=arguments), answer)
    return "strict" if judgement.strict else "lenient" if judgement.lenient else "wrong"


@pytest.mark.parametrize(
    ("value", "answer", "verdict"),
    [
        ("18", "18", "strict"),
        ("-3", "The answer is -3", "lenient"),
        ("-3", "(7)-3", "wrong"),
        ("18", "\n 18 ", "strict"),
        ("18", "+18", "strict"),
        ("18", "18.0", "strict"),
        ("1234", "1,234", "strict"),
        ("1,234", "1234", "strict"),
        ("0.75", "3/4", "strict"),
        ("3/4", ".75", "strict"),
        ("1500", "1.5e3", "strict"),
        ("-7", "-7", "strict"),
        ("18", "so she makes $18.", "lenient"),
        ("18", "$18", "lenient"),
        ("18", "18.", "lenient"),
        ("18", "18 dollars", "lenient"),
        ("18", "The result is 18.", "lenient"),
        ("18", "First 3 + 15, then we get **18**", "lenient"),
        ("18", "\\boxed{18}", "lenient"),
        ("18", "$\\boxed{18}$", "lenient"),
        ("18", "\uff11\uff18", "lenient"),
        ("1234567.5", "about $1,234,567.50 in all", "lenient"),
        ("-7", "it is \u22127 degrees", "lenient"),
        ("-5", "a loss of -$5", "lenient"),
        ("-5", "a loss of $-5", "lenient"),
        ("3", "10-3", "lenient"),
        ("3", "7 - 3", "lenient"),
        ("-3", "the sum is = -3", "lenient"),
        ("1.75", "1 3/4 cups", "lenient"),
        ("2.5", "2½ hours", "lenient"),
        ("3/4", "that is \\frac{3}{4}", "lenient"),
        ("300000000", "3 × 10^8 m/s", "lenient"),
        ("300000000", "$3 \\times 10^{8}$", "lenient"),
        ("0.0015", "1.5e-3", "strict"),
        ("2000000", "2 million", "lenient"),
        ("50", "50%", "lenient"),
        ("0.5", "50 percent", "lenient"),
        ("50%", "0.5", "strict"),
        ("50%", "50%", "strict"),
        ("0.3", "0.30000000000000004", "strict"),
        ("18", "17", "wrong"),
        ("18", "18 or 19", "wrong"),
        ("18", "118", "wrong"),
        ("18", "-18", "wrong"),
        ("18", "x18", "wrong"),
        ("18", "1.8", "wrong"),
        ("18", "18.18.18", "wrong"),
        ("18", "eighteen", "wrong"),
        ("2", "2 million", "wrong"),
        ("10", "10²", "wrong"),
        ("10", "10^2", "wrong"),
        ("2", "10^2", "wrong"),
        ("2", "10^{2}", "wrong"),
        ("3", "2**3", "wrong"),
        ("3", "2 ** 3", "wrong"),
        ("4", "\\frac{3}{4}", "wrong"),
        ("50", "0.5", "wrong"),
        ("123456789012", "123456789013", "wrong"),
        ("0", "3/0", "wrong"),
        ("1", "1e999999999", "wrong"),
        ("18", "", "wrong"),
    ],
)
def test_reads(value: str, answer: str, verdict: str) -> None:
    assert _verdict(value, answer) == verdict


def test_a_tolerance_is_an_absolute_difference() -> None:
    assert _verdict("3.14", "3.15", tolerance=0.01) == "strict"
    assert _verdict("3.14", "3.1501", tolerance=0.01) == "wrong"
    assert _verdict("0.3", "0.30000000000000004", tolerance=0) == "wrong"


@pytest.mark.parametrize("tolerance", [-1, "1", True, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_makes_the_key_unusable(tolerance: object) -> None:
    with pytest.raises(BadInputError, match="tolerance"):
        _verdict("1", "1", tolerance=tolerance)


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**30), 10**30), st.sampled_from(["{}", "{:,}"]), st.sampled_from(["", "so it is $", "= "]))
def test_every_integer_is_read_as_itself_and_as_no_other(number: int, form: str, before: str) -> None:
    text = before + form.format(number)
    assert _verdict(str(number), text) in ("strict", "lenient")
    assert _verdict(str(number + 1), text) == "wrong"


@settings(max_examples=100, deadline=None)
@given(st.fractions(max_denominator=10**6))
def test_every_fraction_is_read_as_itself(number: fractions.Fraction) -> None:
    assert _verdict(str(number), f"{number.numerator}/{number.denominator}") == "strict"


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    assert _verdict("18", text) in ("strict", "lenient", "wrong")
