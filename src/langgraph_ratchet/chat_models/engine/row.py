"""A row: one completion in the making."""

import random
from dataclasses import dataclass, field

from langgraph_ratchet.chat_models.engine.request import Completion, Request


@dataclass(eq=False)
class Row:
    """One completion in the making."""

    request: Request
    max_tokens: int
    """As many as were asked for and the context has room for."""
    draws: random.Random
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    tops: list[tuple[tuple[int, float], ...]] = field(default_factory=list)
    ended: bool = False

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """What it goes on from."""
        return self.request.prompt_ids

    @property
    def length(self) -> int:
        """Tokens whose keys and values are held: all but the last one that was chosen."""
        return len(self.prompt_ids) + len(self.ids) - 1

    @property
    def completion(self) -> Completion:
        """The result, once the row has finished."""
        return Completion(tuple(self.ids), tuple(self.logprobs), cut=not self.ended, tops=tuple(self.tops))
