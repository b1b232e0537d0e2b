"""A problem: a question with its key and where it came from."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.core.question import Question


class Split(StrEnum):
    """What a problem may be used for. It follows from the problem's canonical parameters, never from a seed."""

    PRETRAIN = "pretrain"
    """Demonstrations that the pocket model was made from."""
    TRAIN = "train"
    """Practice: rollouts on these may become training data."""
    HELD_OUT = "held_out"
    """Measurement only; never trained on."""


class Problem(Stored):
    """A question that can be practised or measured."""

    question: Question
    key: AnswerKey
    difficulty: int = Field(ge=1, le=10)
    """Level, 1 (easiest) to 10; what a level means is the family's to say."""
    required_tools: tuple[str, ...] = ()
    """Tools without which it is not expected to be solved."""
    source: str
    """`procedural`, `web`, `memory`, `tools`, `mistakes` or `benchmark`."""
    family: str
    """Generator within the source (`chain_sum`); for benchmarks, their name."""
    split: Split
    seed: int | None = None
    """Seed that drew it; `None` when it was not drawn."""
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Canonical parameters of the item, as JSON: equal parameters mean the same problem."""

    @property
    def id(self) -> str:
        """The question's content hash."""
        return self.question.id
