"""Grades dates and times: `2024-04-19`, `10:30`, `2024-04-19T10:30`.

The key is in ISO form; its form says what is wanted: a date, a time of day, or both. Strict: the stripped answer is in
ISO form and equal. Lenient: the last date (or time, or both together) in the text is equal; read are also
`April 19, 2024`, `19 Apr 2024`, `19th of April 2024`, `2024/4/19`, `3:05 PM` and `3 pm`. All-number dates of other
orders are not read, since 04/05/2024 means two days. A key with a UTC offset is compared by the moment; one
without takes an answer without, or one that says UTC.
"""

import datetime as dt
import re
from collections import deque

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading.judgement import Judgement, shown
from langgraph_ratchet.grading.reading import last_part

VERSION = 1

GOLD = (
    AnswerKey(value="2024-04-19", grader="datetime"),
    AnswerKey(value="10:30", grader="datetime"),
    AnswerKey(value="2024-04-19T10:30:00", grader="datetime"),
    AnswerKey(value="2024-02-29T23:59+02:00", grader="datetime"),
)

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_DATE = rf"""
    (?<![\w-])(?:
        (?P<y1>\d{{4}})(?P<dash>[-/])(?P<m1>\d{{1,2}})(?P=dash)(?P<d1>\d{{1,3}})
      | (?P<m2>{_MONTH})\.?\s{{1,3}}(?P<d2>\d{{1,3}})(?:st|nd|rd|th)?,?\s{{1,3}}(?P<y2>\d{{4}})
      | (?P<d3>\d{{1,3}})(?:st|nd|rd|th)?\s{{1,3}}(?:of\s{{1,3}})?(?P<m3>{_MONTH})\.?,?\s{{1,3}}(?P<y3>\d{{4}})
    )"""
_TIME = r"""
    (?:
        (?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,6})\d{0,3})?)?
        (?:\s?(?P<half>[ap])\.?m\b\.?)?
        (?:\s?(?P<offset>Z|UTC|[-+]\d{2}:?\d{2})(?![\d:]))?
      | (?P<hour_only>\d{1,2})\s?(?P<half_only>[ap])\.?m\b\.?
    )"""
_JOIN = r"(?:t|,?\s{1,3}(?:at\s{1,3})?)"
_AFTER = r"(?![\w:-]|\.\d)"

_FLAGS = re.VERBOSE | re.IGNORECASE | re.ASCII
_FIND_DATE = re.compile(rf"{_DATE}(?:{_JOIN}{_TIME})?{_AFTER}", _FLAGS)
_FIND_TIME = re.compile(rf"(?<![\w:.]){_TIME}{_AFTER}", _FLAGS)
_FIND_BOTH = re.compile(rf"{_DATE}{_JOIN}{_TIME}{_AFTER}", _FLAGS)

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ISO_TIME = re.compile(r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[-+]\d{2}:\d{2})?", re.ASCII)
_ISO_BOTH = re.compile(rf"{_ISO_DATE.pattern}[T ]{_ISO_TIME.pattern}", re.ASCII)

_Moment = dt.date | dt.time | dt.datetime


def judge(key: AnswerKey, answer: str) -> Judgement:
    """Whether `answer` gives the key's date or time.

    Raises:
        BadInputError: the key's value is not an ISO date, time, or date and time.
    """
    wanted = _iso(key.value.strip())
    if wanted is None:
        raise BadInputError(f"the key's value {shown(key.value)} is not an ISO date, time, or date and time")
    given = answer.strip()
    exact = _iso(given)
    if exact is not None and exact == wanted:
        return Judgement(strict=True, lenient=True, reason=f"it is {wanted.isoformat()}")
    read = _last(type(wanted), last_part(given))
    if isinstance(read, str):
        reason = f"{read}; wanted {wanted.isoformat()}"
        return Judgement(strict=False, lenient=False, reason=reason)
    right = _equal(read, wanted)
    reason = f"it gives {read.isoformat()}, " + ("as wanted" if right else f"wanted {wanted.isoformat()}")
    return Judgement(strict=False, lenient=right, reason=reason)


def _iso(text: str) -> _Moment | None:
    """The date, time, or both that `text` is in ISO form and nothing else."""
    try:
        if _ISO_DATE.fullmatch(text):
            return dt.date.fromisoformat(text)
        if _ISO_TIME.fullmatch(text):
            return dt.time.fromisoformat(text)
        if _ISO_BOTH.fullmatch(text):
            return dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return None


def _last(kind: type[_Moment], text: str) -> _Moment | str:
    """The last moment of `kind` in `text`, or why there is none.

    What looks like a date and is none (2024-03-50) counts as the last, so that no earlier one is taken for the answer.
    """
    pattern = {dt.date: _FIND_DATE, dt.time: _FIND_TIME, dt.datetime: _FIND_BOTH}[kind]
    last = deque(pattern.finditer(text), maxlen=1)
    if not last:
        return f"no {_NAMES[kind]} to read"
    found = last[0]
    try:
        if kind is dt.date:
            return _date(found)
        return _time(found) if kind is dt.time else dt.datetime.combine(_date(found), _time(found))
    except ValueError:
        return f"{shown(found[0])} is no {_NAMES[kind]}"


_NAMES: dict[type[_Moment], str] = {dt.date: "date", dt.time: "time", dt.datetime: "date and time"}


def _date(found: re.Match[str]) -> dt.date:
    part = {name[0]: value for name, value in found.groupdict().items() if value is not None and name[-1] in "123"}
    month = part["m"]
    return dt.date(
        int(part["y"]), int(month) if month.isdigit() else 1 + _MONTHS.index(month[:3].lower()), int(part["d"])
    )


def _time(found: re.Match[str]) -> dt.time:
    hour = int(found["hour"] or found["hour_only"])
    half = (found["half"] or found["half_only"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour} is no hour of half a day")
        hour = hour % 12 + (12 if half == "p" else 0)
    microsecond = int((found["fraction"] or "0").ljust(6, "0"))
    return dt.time(hour, int(found["minute"] or 0), int(found["second"] or 0), microsecond, _offset(found["offset"]))


def _offset(text: str | None) -> dt.timezone | None:
    if text is None:
        return None
    if text.upper() in ("Z", "UTC"):
        return dt.UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return dt.timezone(dt.timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _equal(read: _Moment, wanted: _Moment) -> bool:
    if isinstance(read, dt.time | dt.datetime) and read.tzinfo == dt.UTC and _is_naive(wanted):
        read = read.replace(tzinfo=None)
    return read == wanted


def _is_naive(moment: _Moment) -> bool:
    return isinstance(moment, dt.time | dt.datetime) and moment.tzinfo is None
