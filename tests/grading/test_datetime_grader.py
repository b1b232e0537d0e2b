"""The datetime grader reads the last date or time, in words or in ISO form."""

import datetime as dt

import pytest
from hypothesis import given, settings, strategies as st

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading import get_grader


def _verdict(value: str, answer: str) -> str:
    judgement = get_grader("datetime").judge(AnswerKey(value=value, grader="datetime"), answer)
    return "strict" if judgement.strict else "lenient" if judgement.lenient else "wrong"


@pytest.mark.parametrize(
    ("value", "answer", "verdict"),
    [
        ("2024-04-19", " 2024-04-19\n", "strict"),
        ("2024-04-19", "The date is 2024-04-19.", "lenient"),
        ("2024-04-19", "45 days after 2024-03-05 is 2024-04-19", "lenient"),
        ("2024-04-19", "April 19, 2024", "lenient"),
        ("2024-04-19", "Friday, April 19th, 2024.", "lenient"),
        ("2024-04-19", "19 Apr 2024", "lenient"),
        ("2024-04-19", "the 19th of april 2024", "lenient"),
        ("2024-04-19", "Apr. 19 2024", "lenient"),
        ("2024-04-19", "2024/4/19", "lenient"),
        ("2024-04-19", "2024-04-19T00:00:00", "lenient"),
        ("2024-04-19", "2024-04-19 at 10:30", "lenient"),
        ("2024-04-19", "2024-04-20", "wrong"),
        ("2024-04-19", "2024-04-19 or 2024-04-20", "wrong"),
        ("2024-04-19", "2024-04-191", "wrong"),
        ("2024-04-19", "12024-04-19", "wrong"),
        ("2024-04-19", "19 April", "wrong"),
        ("2024-04-19", "19/04/2024", "wrong"),
        ("2024-03-05", "45 days after 2024-03-05 is 2024-03-50", "wrong"),
        ("2024-03-05", "5 March 2024 is not 31 February 2024", "wrong"),
        ("2024-04-19", "2024-04-19\u0661", "lenient"),
        ("10:30", "10:30", "strict"),
        ("10:30", "10:30:00", "strict"),
        ("10:30", "It is 10:30 AM.", "lenient"),
        ("15:05", "at 3:05 p.m.", "lenient"),
        ("15:00", "3 pm", "lenient"),
        ("00:15", "12:15 am", "lenient"),
        ("12:00", "12 pm", "lenient"),
        ("10:30", "10:30 PM", "wrong"),
        ("10:30", "10:30-11:00", "wrong"),
        ("10:30", "10:301", "wrong"),
        ("10:30", "25:30", "wrong"),
        ("10:30", "13:30 pm", "wrong"),
        ("10:30", "from 10:30 to 25:99", "wrong"),
        ("2024-04-19T10:30", "2024-04-19 10:30:00", "strict"),
        ("2024-04-19T10:30", "April 19, 2024 at 10:30 am", "lenient"),
        ("2024-04-19T10:30", "2024-04-19T10:30:00Z", "lenient"),
        ("2024-04-19T10:30", "2024-04-19", "wrong"),
        ("2024-04-19T10:30", "10:30", "wrong"),
        ("2024-04-19T10:30+02:00", "2024-04-19T08:30:00Z", "strict"),
        ("2024-04-19T10:30+02:00", "It was 2024-04-19 at 08:30 UTC.", "lenient"),
        ("2024-04-19T10:30+02:00", "2024-04-19T10:30", "wrong"),
    ],
)
def test_reads(value: str, answer: str, verdict: str) -> None:
    assert _verdict(value, answer) == verdict


@pytest.mark.parametrize("value", ["", "tomorrow", "2024-02-30", "24:00", "2024-4-19", "20240419"])
def test_a_key_that_is_not_iso_is_unusable(value: str) -> None:
    with pytest.raises(BadInputError, match="ISO"):
        _verdict(value, "2024-04-19")


@settings(max_examples=100, deadline=None)
@given(
    st.dates(min_value=dt.date(1000, 1, 1)), st.sampled_from(["%Y-%m-%d", "%B %d, %Y", "%d %b %Y", "on %A, %d %B %Y."])
)
def test_every_date_is_read_as_itself_and_as_no_other(day: dt.date, form: str) -> None:
    text = day.strftime(form)
    assert _verdict(day.isoformat(), text) in ("strict", "lenient")
    other = day.replace(year=day.year + 1 if day.year < 9999 else 1000, day=1 if day.day > 1 else 2)
    assert _verdict(other.isoformat(), text) == "wrong"


@settings(max_examples=100, deadline=None)
@given(st.datetimes(min_value=dt.datetime(1000, 1, 1)), st.sampled_from(["T", " "]))
def test_every_datetime_is_strictly_itself(moment: dt.datetime, joint: str) -> None:
    assert _verdict(moment.isoformat(), moment.isoformat(joint)) == "strict"
    assert (
        _verdict((moment.replace(microsecond=(moment.microsecond + 1) % 10**6)).isoformat(), moment.isoformat())
        == "wrong"
    )
