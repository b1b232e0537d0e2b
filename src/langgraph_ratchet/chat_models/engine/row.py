"""A row: one completion in the making."""

import random
from concurrent.futures import InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from langgraph_ratchet.chat_models.engine.request import Completion, Request
from langgraph_ratchet.core.errors import GenerationError
from langgraph_ratchet.core.ids import derive_seed

Top = tuple[tuple[int, float], ...]


@dataclass(eq=False)
class Row:
    """One completion in the making: what is asked, what it goes on from, and what it has written since."""

    request: Request
    prompt_ids: tuple[int, ...]
    """What it goes on from: the prompt, and what it had written when it was put back into the queue."""
    max_tokens: int
    """Tokens that it may still write from there: as were asked for and the context has room for."""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    tops: list[Top] = field(default_factory=list)
    before: Completion | None = None
    """What it had written when it was put back."""
    ended: bool = False
    error: BaseException | None = None
    """Why it ended without a completion."""

    def __post_init__(self) -> None:
        request = self.request
        self.penalised = bool(request.presence_penalty or request.frequency_penalty)
        self.adjustments: dict[int, float] = dict(request.logit_bias)
        """What is added to the logits of these tokens now."""
        self.seen: set[int] = set()
        """Tokens that were penalised for being there."""
        self.shaped = self.penalised or bool(request.logit_bias) or request.constraint is not None
        """Whether its token is chosen by other numbers than the model's own."""
        self.watched = (
            self.penalised
            or request.constraint is not None
            or request.stopped is not None
            or request.on_token is not None
            or request.top_logprobs > 0
        )
        """Whether somebody has to be told of each token."""
        self.temperature = request.temperature
        self.draws: random.Random | None = None
        if request.temperature > 0:
            seed = request.seed if request.seed is not None else random.getrandbits(63)
            # Calls that share a seed must not share their luck, so the prompt takes part in the draw.
            self.draws = random.Random(derive_seed("draw", seed, *request.prompt_ids))

    @classmethod
    def of(cls, request: Request, context: int) -> "Row":
        """The row of a request whose prompt leaves room in `context` tokens."""
        room = context - len(request.prompt_ids)
        return cls(request, request.prompt_ids, max(1, min(request.max_tokens, room)))

    @property
    def length(self) -> int:
        """Tokens whose keys and values are held: all but the last one that was chosen."""
        return len(self.prompt_ids) + len(self.ids) - 1

    @property
    def longest(self) -> int:
        """Tokens, prompt included, that it may grow to."""
        return len(self.prompt_ids) + self.max_tokens

    @property
    def written(self) -> list[int]:
        """All ids of the completion so far."""
        return [*self.before.ids, *self.ids] if self.before else self.ids

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be written."""
        return self.ended or len(self.ids) >= self.max_tokens

    def fail(self, what: str, cause: BaseException | None = None) -> None:
        """Ends it without a completion; `what` says what failed."""
        # One error for each call: an exception that many threads raise collects all their traces.
        self.error = GenerationError(what if cause is None else f"{what}: {type(cause).__name__}: {cause}")
        self.error.__cause__ = cause
        self.ended = True

    def answer(self) -> None:
        """Tells whoever asked what has become of it."""
        with suppress(InvalidStateError):
            if self.error is not None:
                self.request.future.set_exception(self.error)
            else:
                self.request.future.set_result(self._completion())

    def put_back(self) -> None:
        """Makes it a row that has yet to be read; it will go on where it is."""
        done = self._completion()
        self.prompt_ids += tuple(self.ids)
        self.max_tokens -= len(self.ids)
        self.before = done
        self.ids, self.logprobs, self.tops = [], [], []

    def _completion(self) -> Completion:
        before = self.before or Completion((), (), cut=False)
        return Completion(
            (*before.ids, *self.ids),
            (*before.logprobs, *self.logprobs),
            cut=not self.ended,
            tops=(*before.tops, *self.tops),
        )
