"""Sums and differences of two-digit numbers. Level L has L + 1 terms. The generator is reasoning-gym's."""

import random
import re

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import MissingExtraError
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.problems.family import Expert, Item, Move, Script, at_once, last_output

_EXPRESSION = re.compile(r"\d+(?: [+-] \d+)+")
_SLIPS = (1, 2, 9, 10, 11, 20)
_NUMBERS = 90  # 10 to 99
_OPERATORS = 2


class ChainSum:
    """Arithmetic: "State the final answer to the following arithmetic problem: 45 + 33 - 12 ="."""

    name = "chain_sum"
    type = QuestionType.MATHEMATICAL
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    tools: tuple[str, ...] = ("calculator",)

    def size(self, level: int) -> int:
        """Exact: every choice of terms and operators."""
        return int(_NUMBERS ** (level + 1) * _OPERATORS**level)

    def draw(self, level: int, rng: random.Random) -> Item:
        """One item of reasoning-gym's `chain_sum`, always its index 0: its items overlap between near seeds."""
        try:
            from reasoning_gym.arithmetic.chain_sum import ChainSumConfig, ChainSumDataset
        except ImportError as error:
            raise MissingExtraError("the family chain_sum", "problems") from error
        terms = level + 1
        config = ChainSumConfig(
            min_terms=terms, max_terms=terms, min_digits=2, max_digits=2, seed=rng.getrandbits(63), size=1
        )
        entry = ChainSumDataset(config)[0]
        question = Question(type=self.type, text=entry["question"])
        return Item(question, entry["answer"], {"expression": entry["metadata"]["expression"]})

    def solve(self, question: Question) -> str:
        """Reads the expression from left to right."""
        words = _expression(question).split()
        total = int(words[0])
        for operator, number in zip(words[1::2], words[2::2], strict=True):
            total += int(number) if operator == "+" else -int(number)
        return str(total)

    def key(self, item: Item) -> AnswerKey:
        """Graded as a number."""
        return AnswerKey(value=item.answer, grader="number", question_id=item.question.id, expected_steps=1)

    def expert(self, question: Question) -> Expert:
        """Gives the whole expression to the calculator."""
        move = Move("calculator", {"expression": _expression(question)})
        return Script("direct", ("Calculate with calculator.",), "result", last_output, (move,))

    def novice(self, question: Question, rng: random.Random) -> Expert:
        """Answers at once, with a number that is near and wrong."""
        slip = rng.choice(_SLIPS) * rng.choice((-1, 1))
        return at_once("result", str(int(self.solve(question)) + slip))


def _expression(question: Question) -> str:
    found = _EXPRESSION.search(question.text)
    if not found:
        raise ValueError(f"no sum in {question.text!r}")
    return found.group()


FAMILY = ChainSum()
