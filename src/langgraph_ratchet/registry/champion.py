"""Which version is champion, and how it came to be: one small file that is only ever replaced whole."""

from enum import StrEnum

from langgraph_ratchet.core.noun import Noun, Stored


class Change(StrEnum):
    """What happened to the champion."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Promotion(Noun):
    """One change of the champion. `None` in place of a version is the bare base."""

    change: Change
    version: str | None
    """Champion afterwards."""
    previous: str | None
    """Champion before."""
    reason: str
    """Why, in the words of whoever did it."""
    at: float
    """Unix time, seconds."""


class Lineage(Stored):
    """Every change of the champion, oldest first; the last one says who it is."""

    history: tuple[Promotion, ...] = ()

    @property
    def champion(self) -> str | None:
        """The version that apps use; `None` for the bare base."""
        return self.history[-1].version if self.history else None

    @property
    def predecessors(self) -> tuple[str | None, ...]:
        """What rollbacks would return to, nearest last: each promotion adds one, each rollback uses one up."""
        stack: list[str | None] = []
        for entry in self.history:
            if entry.change is Change.PROMOTE:
                stack.append(entry.previous)
            elif stack:
                stack.pop()
        return tuple(stack)
