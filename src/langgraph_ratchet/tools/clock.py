"""`clock`: calendar and time arithmetic, so that a model need not count days.

A point in time is a date (2024-03-05), a date with a time (2024-03-05T14:30) or a time of day (14:30).
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, ToolException

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.runner import RunInfo
from langgraph_ratchet.tools.spec import ToolSpec

# No effects, although it tells the time: `now` is when the run began, which the run says.
SPEC = ToolSpec(timeout_s=5.0, output_cap=200, trust=Trust.OWN)

_OPERATIONS = ("add", "between", "weekday", "now")
_AMOUNT = re.compile(
    r"([+-]?)\s*(\d{1,7})\s*(second|minute|hour|day|week|month|year)s?\b(?:\s*,)?(?:\s*and\b)?\s*", re.I
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NO_DAY = date(2000, 1, 1)  # carries a time of day through arithmetic

Point = date | datetime | time


def tell(
    operation: str, start: str = "", value: str = "", run: Annotated[RunInfo | None, InjectedToolArg] = None
) -> str:
    """The result of a calendar operation, as text.

    Args:
        operation: `add` (value to start), `between` (start and value), `weekday` (of start) or `now` (in UTC).
        start: a date, a date with a time, or a time of day.
        value: for `add` an amount ("45 days", "-3 weeks", "2 hours 15 minutes"; a sign holds until the next one);
            for `between` another point in time.
        run: for `now`, which is then the time at which it began: a run sees one time, and its trace says which.

    Raises:
        ToolException: it cannot be told; the message says why.
    """
    match operation.strip().lower():
        case "add":
            return _add(_point(start, "start"), value)
        case "between":
            return _between(_point(start, "start"), _point(value, "value"))
        case "weekday":
            return _weekday(_point(start, "start"))
        case "now":
            moment = datetime.fromtimestamp(run.started_at, UTC) if run else datetime.now(UTC)
            return moment.strftime("%Y-%m-%dT%H:%MZ")
    raise ToolException(f"unknown operation '{_short(operation)}'; use {', '.join(_OPERATIONS)}")


def _point(text: str, argument: str) -> Point:
    text = text.strip()
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _TIME.fullmatch(text):
            return time.fromisoformat(text)
        if _DATE.match(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    wanted = "give YYYY-MM-DD, YYYY-MM-DDTHH:MM or HH:MM"
    raise ToolException(f"{argument} '{_short(text)}' is not a date or time; {wanted}")


def _add(start: Point, value: str) -> str:
    months, shift, fine = _amount(value)
    try:
        if isinstance(start, time):
            return _add_to_time(start, months, shift)
        moment = start if isinstance(start, datetime) else datetime.combine(start, time())
        moment = _add_months(moment, months) + shift
    except (OverflowError, ValueError):
        raise ToolException("the result is out of range; years go from 1 to 9999") from None
    if isinstance(start, datetime) or fine:
        return _show(moment)
    return moment.date().isoformat()


def _amount(text: str) -> tuple[int, timedelta, bool]:
    """Months, the rest as a duration, and whether units below a day were named."""
    months, shift, fine = 0, timedelta(), False
    sign, position, text = 1, 0, text.strip()
    while found := _AMOUNT.match(text, position):
        sign = {"+": 1, "-": -1, "": sign}[found[1]]
        n, unit = sign * int(found[2]), found[3].lower()
        if unit in ("month", "year"):
            months += n * (12 if unit == "year" else 1)
        else:
            shift += timedelta(**{f"{unit}s": n})
            fine = fine or unit in ("second", "minute", "hour")
        position = found.end()
    if position == 0 or position < len(text):
        raise ToolException(f"value '{_short(text)}' is not an amount; give e.g. 45 days or -3 weeks")
    return months, shift, fine


def _add_months(moment: datetime, months: int) -> datetime:
    """The same day so many months on, or the month's last day when it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def _add_to_time(start: time, months: int, shift: timedelta) -> str:
    if months:
        raise ToolException("months and years cannot be added to a time of day; give a date")
    moment = datetime.combine(_NO_DAY, start) + shift
    days = (moment.date() - _NO_DAY).days
    later = f" ({_count(abs(days), 'day')} {'later' if days > 0 else 'earlier'})" if days else ""
    return _show_time(moment.time()) + later


def _between(start: Point, end: Point) -> str:
    if isinstance(start, time) != isinstance(end, time):
        raise ToolException("between needs two dates or two times of day")
    first, second = _moment(start), _moment(end)
    try:
        gap = second - first
    except TypeError:
        raise ToolException("one of the two has a time zone and the other has none") from None
    if type(start) is date and type(end) is date:
        return _count(gap.days, "day")
    seconds = round(gap.total_seconds())
    return _count(seconds, "second") if seconds % 60 else _count(seconds // 60, "minute")


def _moment(point: Point) -> datetime:
    if isinstance(point, datetime):
        return point
    return datetime.combine(_NO_DAY, point) if isinstance(point, time) else datetime.combine(point, time())


def _weekday(start: Point) -> str:
    if isinstance(start, time):
        raise ToolException("a time of day has no weekday; give a date")
    return _DAYS[start.weekday()]


def _show(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")


def _show_time(point: time) -> str:
    return point.isoformat(timespec="seconds" if point.second else "minutes")


def _count(n: int, unit: str) -> str:
    return f"{n} {unit}" if abs(n) == 1 else f"{n} {unit}s"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def clock_tool() -> BaseTool:
    """The tool `clock(operation, start, value)`."""
    return StructuredTool.from_function(
        tell,
        name="clock",
        description="Date and time: add (value to start), between (start and value), weekday (of start), now.",
        metadata=SPEC.metadata(),
    )
