"""A proportion and what can be said of it."""

import math

from pydantic import Field

from langgraph_ratchet.core.noun import Noun

_Z_95 = 1.959963984540054


class Accuracy(Noun):
    """`correct` of `n`, with its Wilson 95 % interval."""

    correct: int = Field(ge=0)
    n: int = Field(ge=0)

    @property
    def value(self) -> float | None:
        """Share that was correct; `None` when nothing was measured."""
        return self.correct / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson score interval at 95 %; (0, 1) when nothing was measured."""
        if not self.n:
            return (0.0, 1.0)
        p, z2 = self.correct / self.n, _Z_95**2
        centre = (p + z2 / (2 * self.n)) / (1 + z2 / self.n)
        half = _Z_95 * math.sqrt(p * (1 - p) / self.n + z2 / (4 * self.n**2)) / (1 + z2 / self.n)
        return (max(0.0, centre - half), min(1.0, centre + half))
