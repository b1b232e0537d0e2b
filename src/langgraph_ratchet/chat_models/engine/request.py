"""What is asked of the engine, and what it gives: requests, tokens as they come, and completions.

Shapes: V vocabulary, as wide as the model's logits.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from langgraph_ratchet.chat_models.adapters import Adapter


@dataclass(frozen=True)
class Token:
    """One token that a row has produced."""

    id: int
    logprob: float
    """Natural log, under the model's own distribution (temperature 1, no truncation, no constraint)."""
    top: tuple[tuple[int, float], ...] = ()
    """The most likely tokens at this place with their log-probabilities, likeliest first; as many as were asked for."""


@dataclass(frozen=True)
class Completion:
    """What a row produced."""

    ids: tuple[int, ...]
    """The end-of-turn token included, where there is one."""
    logprobs: tuple[float, ...]
    """Natural log, under the model's own distribution (temperature 1)."""
    cut: bool
    """Whether it ended because `max_tokens` or the context was reached."""
    tops: tuple[tuple[tuple[int, float], ...], ...] = ()
    """`Token.top` of each token; empty unless it was asked for."""


class Constraint(Protocol):
    """Which tokens may come next. One object serves one completion, and only the engine's thread calls it."""

    def allowed(self, remaining: int) -> Tensor:
        """Bool [V] on the CPU: what may come next. At least one token may.

        Args:
            remaining: how many tokens, the end of turn included, may still be written; at least 1.
        """

    def accept(self, token: int) -> None:
        """Told of the token that was chosen among those that were allowed."""


@dataclass(eq=False)
class Request:
    """One completion that is wanted."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.0
    """0 is greedy."""
    seed: int | None = None
    """`None` draws one."""
    adapter: Adapter | None = None
    stopped: Callable[[Sequence[int]], bool] | None = None
    """Whether a completion has come to its end, beside the model's own end of turn; asked after each token."""
    max_batch: int = 64
    """Rows that may run at once when this one joins."""
    top_p: float = 1.0
    """Draws from the likeliest tokens that together have this probability; 1 draws from all."""
    presence_penalty: float = 0.0
    """Taken from the logit of every token that the completion holds already."""
    frequency_penalty: float = 0.0
    """Taken from a token's logit for each time that the completion holds it."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these tokens."""
    constraint: Constraint | None = None
    top_logprobs: int = 0
    """How many of the likeliest tokens to tell at each place."""
    on_token: Callable[[Token], None] | None = None
    """Told of each token as it is chosen, in the engine's thread; it must return at once and not raise."""
    run: str | None = None
    """Which run asks: those that wait are let in turn by turn, run by run. `None` is a run of its own."""
    future: "Future[Completion]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)
