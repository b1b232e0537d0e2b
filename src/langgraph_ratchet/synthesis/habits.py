"""What the pocket model is taught, on purpose unevenly.

A model that is right everywhere has nothing to learn in a demo, and one that is wrong everywhere finds nothing. So
in some levels the tempting wrong way is most of what it sees: greedy decoding then follows the habit and fails, while
sampling finds the right way often enough to learn from. In other levels the right way is the habit.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Habit:
    """How one level of one family is demonstrated."""

    expert_share: float
    """Share of the demonstrations that go the right way."""
    doubt: float = 0.08
    """Share of the wrong ways that the self-check turns down; the run is then sent back and goes the right way."""
    weight: float = 1.0
    """How often the level is shown, against the others."""


RIGHT = Habit(expert_share=0.85)
WRONG = Habit(expert_share=0.32)
RARE = Habit(expert_share=0.02, doubt=0.02)
RIGHT_OFTEN = Habit(expert_share=0.85, weight=2.0)
WRONG_OFTEN = Habit(expert_share=0.32, weight=2.0)
"""The levels of `fact_chain` have many names to learn, so they are shown more often."""

POCKET_HABITS: Mapping[tuple[str, int], Habit] = {
    ("chain_sum", 1): RIGHT,
    ("chain_sum", 2): RIGHT,
    ("chain_sum", 3): WRONG,
    ("chain_sum", 4): WRONG,
    ("date_shift", 1): RIGHT,
    ("date_shift", 2): RIGHT,
    ("date_shift", 3): WRONG,
    ("date_shift", 4): WRONG,
    ("weekday", 1): RARE,
    ("fact_chain", 1): RIGHT_OFTEN,
    ("fact_chain", 2): RIGHT_OFTEN,
    ("fact_chain", 3): WRONG_OFTEN,
    ("fact_chain", 4): WRONG_OFTEN,
    ("entailment", 1): RIGHT,
    ("entailment", 2): RIGHT,
    ("entailment", 3): WRONG,
    ("entailment", 4): WRONG,
    ("grid_walk", 1): RIGHT,
    ("grid_walk", 2): RIGHT,
    ("grid_walk", 3): WRONG,
    ("grid_walk", 4): WRONG,
}
"""By family and level. A level that is not here, chain_sum 5, is never shown; that one and level 4 of date_shift,
fact_chain, entailment and grid_walk are not in the practice suite either, so that what practice does for its
neighbours can be measured."""
