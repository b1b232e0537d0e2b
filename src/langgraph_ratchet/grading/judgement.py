"""What a grader says of one answer, and what stands in its place when it could say nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Judgement:
    """A grader's verdict. `strict` implies `lenient`."""

    strict: bool
    """The answer is right and is nothing but the answer."""
    lenient: bool
    """The right answer can be read out of the text."""
    reason: str
    """What was read and what was wanted, in one sentence."""


@dataclass(frozen=True, slots=True)
class Unjudged:
    """No verdict: the key was unusable, or the grader crashed or was late. It is not a wrong answer."""

    reason: str


def shown(text: str, limit: int = 60) -> str:
    """`text` quoted for a reason, cut at `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
