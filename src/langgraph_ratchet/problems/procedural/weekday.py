"""The day of the week of a date. It has one level: no date is harder than another."""

import random
import re
from datetime import date, timedelta

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.problems.family import Expert, Item, Move, Script, at_once, last_output

_FIRST, _LAST = date(1990, 1, 1), date(2039, 12, 31)
_DATES = (_LAST - _FIRST).days + 1
_DATE = re.compile(r"What day of the week is (\d{4})-(\d\d)-(\d\d)\?")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SAKAMOTO = (0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4)


class Weekday:
    """Which day a date of the years 1990 to 2039 is: "What day of the week is 2024-03-05?"."""

    name = "weekday"
    type = QuestionType.TEMPORAL
    levels: tuple[int, ...] = (1,)
    tools: tuple[str, ...] = ("clock",)

    def size(self, level: int) -> int:
        """Exact: one item a date."""
        return _DATES

    def draw(self, level: int, rng: random.Random) -> Item:
        """A date of the fifty years."""
        day = _FIRST + timedelta(days=rng.randrange(_DATES))
        question = Question(type=self.type, text=f"What day of the week is {day}?")
        return Item(question, _DAYS[day.weekday()], {"date": day.isoformat()})

    def solve(self, question: Question) -> str:
        """Sakamoto's method, without `datetime`."""
        year, month, day = (int(part) for part in _date(question))
        if month < 3:
            year -= 1
        from_sunday = (year + year // 4 - year // 100 + year // 400 + _SAKAMOTO[month - 1] + day) % 7
        return _DAYS[from_sunday - 1]

    def key(self, item: Item) -> AnswerKey:
        """Graded as a choice among the seven names."""
        return AnswerKey(
            value=item.answer,
            grader="choice",
            question_id=item.question.id,
            arguments={"choices": list(_DAYS)},
            expected_steps=1,
        )

    def expert(self, question: Question) -> Expert:
        """Asks the clock."""
        move = Move("clock", {"operation": "weekday", "start": "-".join(_date(question))})
        return Script("direct", ("Find the weekday with clock.",), "day", last_output, (move,))

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """Guesses a day."""
        return at_once("day", rng.choice(_DAYS))


def _date(question: Question) -> tuple[str, ...]:
    found = _DATE.fullmatch(question.text)
    if not found:
        raise ValueError(f"no question for a weekday in {question.text!r}")
    return found.groups()


FAMILY = Weekday()
