"""What people and apps say of a run after it ended: ratings, corrected answers, signals of the user's app."""

from pydantic import Field

from langgraph_ratchet.core.noun import Stored

RATING = "rating"
"""Key of a person's rating: score 1 is thumbs up, 0 thumbs down."""
CORRECTION = "correction"
"""Key of a corrected answer: `value` is the right one."""


class Feedback(Stored):
    """One thing that was said of a trace. The words are LangSmith's, so that it can go there and come from there."""

    id: str
    """Feedback with an id that is stored already replaces it."""
    trace_id: str
    key: str = Field(min_length=1, max_length=200)
    """What is said: `rating`, `correction`, or any name that an app gives its signal."""
    score: float | None = Field(default=None, ge=0, le=1)
    """`None` where nothing was scored."""
    value: str | None = None
    """The corrected answer, or what the signal says; `None` when there is only a score."""
    comment: str | None = None
    author: str = Field(default="user", min_length=1, max_length=200)
    """Who said it: a person, or the app."""
    given_at: float
    """Unix time, seconds."""
