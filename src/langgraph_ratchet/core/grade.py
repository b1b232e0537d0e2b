"""The grade of an answer."""

from langgraph_ratchet.core.noun import Stored


class Grade(Stored):
    """What a grader said of an answer."""

    trace_id: str | None
    """`None` when an answer was graded outside a run."""
    grader: str
    """`name@version`."""
    score: float | None
    """In [0, 1]; `None` when the grader could not judge (crashed, timed out): that is not a 0."""
    strict: bool | None
    """Whether the answer is right and is nothing but the answer; `None` like `score`."""
    lenient: bool | None
    """Whether the right answer can be read out of the text; `None` like `score`."""
    reason: str

    @property
    def verified(self) -> bool:
        """Whether a programmatic grader found the answer right."""
        return self.score == 1.0
