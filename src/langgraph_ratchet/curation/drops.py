"""Why something was left out: every reason there is, with its sentence, in the order in which they apply.

What has several reasons is counted under the first.
"""

from collections import Counter
from enum import Enum

from langgraph_ratchet.core.example import Drop


class Reason(Enum):
    """A reason to leave out a trace or a call: its unit, and a sentence for people."""

    HELD_OUT = ("traces", "The question is in an evaluation suite, and would no longer measure anything.")
    NOT_JUDGED = ("traces", "The grader could not judge the answer.")
    UNIFORM_OUTCOME = (
        "traces",
        "All runs of the problem were right, or all were wrong: there is no better way to learn.",
    )
    NOT_ANSWERED = ("traces", "The run ended without an answer.")
    WRONG_ANSWER = ("traces", "The answer is wrong.")
    LUCKY = ("traces", "The answer is right, but none of the tools that it takes was used with success.")
    FAILED_CALL = ("calls", "The model gave no reply.")
    INEXACT = ("calls", "The very token ids are not known.")
    OTHER_BASE = ("calls", "The ids belong to another base model, tokenizer or chat template.")
    UNREAD = ("calls", "The reply could not be read and was asked for again.")
    FAILED_TOOL = ("calls", "The tools that the reply called all failed.")
    REVISED_AWAY = ("calls", "A revision did this part of the run again.")
    UNTRUSTED = ("calls", "The reply repeats eight or more tokens of other people's text.")
    NOTHING_LEFT = ("traces", "No call of the run is left to learn from.")
    DUPLICATE_PATH = ("traces", "Another run of the problem took the same path.")
    NOT_DRAWN = ("traces", "The lot did not fall on it: the control learns from as many runs as the candidate.")

    @property
    def unit(self) -> str:
        """What is counted: `traces` or `calls`."""
        return self.value[0]

    @property
    def explanation(self) -> str:
        """The reason in a sentence."""
        return self.value[1]


def counted(drops: Counter[Reason]) -> tuple[Drop, ...]:
    """The drops that occurred, in the order of `Reason`."""
    return tuple(
        Drop(reason=reason.name.lower(), explanation=reason.explanation, count=drops[reason], unit=reason.unit)
        for reason in Reason
        if drops[reason]
    )
