from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, strategies as st
from langchain_core.tools import ToolException

from langgraph_ratchet.tools.clock import tell


@pytest.mark.parametrize(
    ("start", "value", "result"),
    [
        ("2024-03-05", "45 days", "2024-04-19"),
        ("2024-03-05", "-45 days", "2024-01-20"),
        ("2024-03-05", "1 weeks 3 days", "2024-03-15"),
        ("2024-03-05", "3 weeks and 4 days", "2024-03-30"),
        ("2024-03-05", "-3 weeks 4 days", "2024-02-09"),
        ("2024-03-05", "1 week -1 day", "2024-03-11"),
        ("2024-01-31", "1 month", "2024-02-29"),
        ("2024-02-29", "-1 year", "2023-02-28"),
        ("2024-03-31", "-13 months, 1 day", "2023-02-27"),
        ("2024-03-05", "36 hours", "2024-03-06T12:00"),
        ("2024-03-05T23:30", "45 minutes", "2024-03-06T00:15"),
        ("2024-03-05 23:30:10", "1 second", "2024-03-05T23:30:11"),
        ("09:50", "2 hours 15 minutes", "12:05"),
        ("23:30", "2 hours", "01:30 (1 day later)"),
        ("00:10", "-49 hours", "23:10 (3 days earlier)"),
    ],
)
def test_adds(start: str, value: str, result: str) -> None:
    assert tell("add", start, value) == result


@pytest.mark.parametrize(
    ("start", "value", "result"),
    [
        ("2024-03-05", "2024-04-19", "45 days"),
        ("2024-03-05", "2024-03-06", "1 day"),
        ("2024-03-05", "2024-03-01", "-4 days"),
        ("09:50", "11:25", "95 minutes"),
        ("11:25", "09:50", "-95 minutes"),
        ("2024-03-05T10:00", "2024-03-06", "840 minutes"),
        ("10:00:00", "10:00:30", "30 seconds"),
    ],
)
def test_measures_between(start: str, value: str, result: str) -> None:
    assert tell("between", start, value) == result


def test_tells_weekday_and_now() -> None:
    assert tell("weekday", "2024-03-05") == "Tuesday"
    assert tell(" Weekday ", "2024-03-05T10:00") == "Tuesday"
    told = datetime.strptime(tell("now"), "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - told) < timedelta(minutes=2)


@given(st.dates(date(1600, 1, 1), date(2400, 1, 1)), st.integers(-9_999, 9_999))
def test_add_and_between_are_inverse(start: date, days: int) -> None:
    end = tell("add", start.isoformat(), f"{days} days")
    assert end == (start + timedelta(days=days)).isoformat()
    assert tell("between", start.isoformat(), end).split()[0] == str(days)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("shift", "2024-03-05", "1 day"), "unknown operation 'shift'; use add, between, weekday, now"),
        (("x" * 100_000,), "unknown operation"),
        (("add", "2024-02-30", "1 day"), "start '2024-02-30' is not a date or time"),
        (("add", "", "1 day"), "start '' is not"),
        (("add", "tomorrow", "1 day"), "give YYYY-MM-DD"),
        (("add", "25:00", "1 day"), "start '25:00' is not"),
        (("add", "2024-03-05", ""), "value '' is not an amount"),
        (("add", "2024-03-05", "45"), "value '45' is not an amount"),
        (("add", "2024-03-05", "1.5 days"), "is not an amount"),
        (("add", "2024-03-05", "5 days ago"), "is not an amount"),
        (("add", "2024-03-05", "9999999 weeks"), "out of range"),
        (("add", "2024-03-05", "9999999 years"), "out of range"),
        (("add", "2024-03-05", "99999999999999 days"), "is not an amount"),
        (("add", "09:50", "1 month"), "time of day"),
        (("between", "2024-03-05", "09:50"), "two dates or two times"),
        (("between", "2024-03-05", "later"), "value 'later' is not"),
        (("between", "2024-03-05T10:00+01:00", "2024-03-05T10:00"), "time zone"),
        (("weekday", "09:50"), "no weekday"),
        (("weekday", "\ud800"), "is not a date"),
    ],
)
def test_says_what_it_cannot_read(arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(ToolException, match=why) as caught:
        tell(*arguments)
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)
