"""A date so many days or weeks away from another.

Level 1: days after. 2: days before. 3: weeks after or before. 4: weeks and days after.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.problems.family import Expert, Item, Move, Script, last_output

_FIRST, _LAST = date(1990, 1, 1), date(2039, 12, 31)
_START_DATES = (_LAST - _FIRST).days + 1
_SHIFT = re.compile(r"What date is (?P<amounts>.+) (?P<direction>after|before) (?P<start>\d{4}-\d\d-\d\d)\?")
_AMOUNT = re.compile(r"(\d+) (day|week)s?")
_DAYS_IN_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class _Shift:
    """What the question's text says."""

    amounts: tuple[tuple[int, str], ...]
    before: bool
    start: str

    @classmethod
    def read(cls, question: Question) -> "_Shift":
        found = _SHIFT.fullmatch(question.text)
        amounts = tuple((int(n), unit) for n, unit in _AMOUNT.findall(found["amounts"])) if found else ()
        if not found or not amounts:
            raise ValueError(f"no date shift in {question.text!r}")
        return cls(amounts, found["direction"] == "before", found["start"])

    @property
    def value(self) -> str:
        """As the clock reads it: "-45 days", "3 weeks 4 days"."""
        return ("-" if self.before else "") + " ".join(_phrase(n, unit) for n, unit in self.amounts)


class DateShift:
    """Shifts of dates in the years 1990 to 2039: "What date is 45 days after 2024-03-05?"."""

    name = "date_shift"
    type = QuestionType.TEMPORAL
    levels: tuple[int, ...] = (1, 2, 3, 4)
    tools: tuple[str, ...] = ("clock",)

    def size(self, level: int) -> int:
        """Exact: start dates times amounts."""
        return _START_DATES * {1: 58, 2: 398, 3: 2 * 59, 4: 29 * 6}[level]

    def draw(self, level: int, rng: random.Random) -> Item:
        """A start date and an amount of the level's kind."""
        start = _FIRST + timedelta(days=rng.randrange(_START_DATES))
        before = level == 2 or (level == 3 and rng.random() < 0.5)
        weeks = {3: (2, 60), 4: (2, 30)}.get(level)
        days = {1: (2, 59), 2: (2, 399), 4: (1, 6)}.get(level)
        n_weeks = rng.randint(*weeks) if weeks else 0
        n_days = rng.randint(*days) if days else 0
        shift = timedelta(weeks=n_weeks, days=n_days)
        amounts = " and ".join(_phrase(n, unit) for n, unit in ((n_weeks, "week"), (n_days, "day")) if n)
        text = f"What date is {amounts} {'before' if before else 'after'} {start}?"
        answer = start - shift if before else start + shift
        parameters = {"start": start.isoformat(), "weeks": n_weeks, "days": n_days, "before": before}
        return Item(Question(type=self.type, text=text), answer.isoformat(), parameters)

    def solve(self, question: Question) -> str:
        """Walks month by month on the calendar, without `datetime`."""
        shift = _Shift.read(question)
        year, month, day = (int(part) for part in shift.start.split("-"))
        total = sum(n * (7 if unit == "week" else 1) for n, unit in shift.amounts)
        day += -total if shift.before else total
        while day < 1:
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
            day += _days_in(year, month)
        while day > _days_in(year, month):
            day -= _days_in(year, month)
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return f"{year:04d}-{month:02d}-{day:02d}"

    def key(self, item: Item) -> AnswerKey:
        """Graded as a date."""
        return AnswerKey(value=item.answer, grader="datetime", question_id=item.question.id, expected_steps=1)

    def expert(self, question: Question) -> Expert:
        """Lets the clock shift the date."""
        shift = _Shift.read(question)
        move = Move("clock", {"operation": "add", "start": shift.start, "value": shift.value})
        return Script("direct", ("Shift the date with clock.",), "date", last_output, (move,))

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """Adds the bare numbers to the day of the month, with the calculator."""
        shift = _Shift.read(question)
        month, day = shift.start[:7], int(shift.start[8:])
        sign = " - " if shift.before else " + "
        move = Move("calculator", {"expression": sign.join(str(n) for n in (day, *(n for n, _ in shift.amounts)))})

        def paste(outputs: Sequence[str]) -> str:
            return f"{month}-{last_output(outputs).zfill(2)}"

        return Script("direct", ("Add the numbers with calculator.",), "date", paste, (move,))


def _phrase(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"


def _days_in(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS_IN_MONTH[month - 1] + (1 if leap and month == 2 else 0)


FAMILY = DateShift()
