"""The problem family `letter_count`: how often a letter occurs in a row of letters."""

import random
import re

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.problems.family import Expert, Item, Move, Script, at_once, last_output

_LETTERS = "abcd"
_TEXT = re.compile(r"How often does the letter ([a-d]) occur in ([a-d]+)\?")


class LetterCount:
    """Level L has 24 * L letters or up to 23 more."""

    name = "letter_count"
    type = QuestionType.COMMONSENSE
    levels: tuple[int, ...] = (1, 2, 3)
    tools: tuple[str, ...] = ("count_letters",)

    def size(self, level: int) -> int:
        """Rows of the shortest length alone."""
        return len(_LETTERS) ** (24 * level + 1)

    def draw(self, level: int, rng: random.Random) -> Item:
        """Decides on the answer first, and then where the letter stands."""
        length = 24 * level + rng.randrange(24)
        letter = rng.choice(_LETTERS)
        places = set(rng.sample(range(length), rng.randint(length // 6, length // 2)))
        others = [other for other in _LETTERS if other != letter]
        row = "".join(letter if place in places else rng.choice(others) for place in range(length))
        question = Question(type=self.type, text=f"How often does the letter {letter} occur in {row}?")
        return Item(question, str(len(places)), {"letter": letter, "row": row})

    def solve(self, question: Question) -> str:
        """Takes the row apart at the letter."""
        letter, row = _read(question)
        return str(len(row.split(letter)) - 1)

    def key(self, item: Item) -> AnswerKey:
        """Graded as a number."""
        return AnswerKey(value=item.answer, grader="number", question_id=item.question.id, expected_steps=1)

    def expert(self, question: Question) -> Expert:
        """Counts with the tool."""
        letter, row = _read(question)
        move = Move("count_letters", {"letter": letter, "text": row})
        return Script("direct", ("Count with count_letters.",), "count", last_output, (move,))

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """Miscounts."""
        return at_once("count", str(int(self.solve(question)) + rng.choice((-2, -1, 1, 2))))


def _read(question: Question) -> tuple[str, str]:
    found = _TEXT.fullmatch(question.text)
    if not found:
        raise ValueError(f"no letters to count in {question.text!r}")
    return found[1], found[2]


FAMILY = LetterCount()
