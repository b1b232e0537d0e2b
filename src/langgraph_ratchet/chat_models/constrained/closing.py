"""The constraint on one reply: a grammar, and the promise that the reply is whole before its tokens run out.

Why it keeps the promise. Let `missing(x)` be the shortest text that finishes the reply `x`, and `cost` the fewest
tokens that spell a text, the end of turn counted. The constraint keeps `cost(missing(x)) <= remaining`:

* It holds at the start, or the reply is refused before anything runs (`Plan.smallest`).
* `most(x)` bounds `cost(missing(y))` for `x` and for every reply `y` that goes on from it (see `nodes`). While it is
  less than what remains, no token that the grammar allows can break the promise, nor can those after it, so nothing is
  computed again until as many tokens are used up.
* Else only these tokens are allowed: the next one of the path that spells `missing(x)`, which leaves one token less
  to write; those that add plain characters to a free string, after which the same text is missing; and those after
  which the text was read anew and found short enough.

Each path is first put to the grammar itself. If tree and grammar ever differed, the reply would fail with an error, and
not be wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from llguidance import LLMatcher
from numpy.typing import NDArray
from torch import Tensor

from langgraph_ratchet.chat_models.constrained.grammar import lark_of
from langgraph_ratchet.chat_models.constrained.markers import Markers
from langgraph_ratchet.chat_models.constrained.nodes import Costs, Node, Reading
from langgraph_ratchet.chat_models.constrained.vocabulary import Vocabulary
from langgraph_ratchet.core.errors import BadInputError, GenerationError

_TRIED = 24
"""Tokens that are tried out one by one where not all of them leave enough room."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Way:
    """One way to finish a reply: the tokens that spell what is missing, without the end of turn."""

    tokens: tuple[int, ...]
    reading: Reading

    @property
    def closes_text(self) -> bool:
        """Whether it begins by closing a free string, which is as long as it must be."""
        return self.reading.room is not None and (self.reading.missing or b"").startswith(b'"')


class Plan:
    """What replies to one kind of call may be; made once, for many replies.

    Args:
        root: all that a reply may say, without its end of turn.
        vocabulary: of the model that writes it.
        markers: what it must not spell out.
        end: the end of turn that the model's template writes; `None` allows any that the model knows.

    Raises:
        BadInputError: the grammar is too large for llguidance.
    """

    def __init__(self, root: Node, vocabulary: Vocabulary, markers: Markers, end: int | None) -> None:
        self.root = root
        self.vocabulary = vocabulary
        self.markers = markers
        self.end_ids = vocabulary.end_ids if end is None else frozenset((end,))
        self.other_ends = np.array(sorted(vocabulary.end_ids - self.end_ids), dtype=np.int64)
        self._costs = Costs(vocabulary.cost)
        lark = lark_of(root)
        self.matcher = LLMatcher(vocabulary.tokenizer, LLMatcher.grammar_from_lark(lark), log_level=0)
        if self.matcher.is_error():
            reason = self.matcher.get_error().split("\n")[0]
            raise BadInputError(f"the schema cannot be made a grammar: {reason}. Make it smaller or simpler")
        readings = self.readings(b"")
        self.most = _most(readings)
        """Most tokens that any reply needs from any place on."""
        self.smallest = len(self.way(readings, self.matcher).tokens) + 1
        """Tokens of the smallest reply, its end of turn included."""

    def readings(self, text: bytes) -> list[Reading]:
        """The ways to understand `text` as a reply that may go on or end here."""
        found = self.root.read(text, 0, self._costs)
        return [reading for reading in found if reading.missing is not None or reading.end == len(text)]

    def fits(self, text: bytes, remaining: int) -> bool:
        """Whether a reply that begins with `text` can be whole within `remaining` more tokens."""
        return any(self.vocabulary.count(reading.missing or b"") < remaining for reading in self.readings(text))

    def way(self, readings: Sequence[Reading], matcher: LLMatcher) -> Way:
        """The way to finish a reply in the fewest tokens.

        Raises:
            GenerationError: the grammar takes none of those that the tree knows.
        """
        ways = [Way(tuple(self.vocabulary.spell(each.missing or b"")), each) for each in readings]
        for way in sorted(ways, key=lambda each: len(each.tokens)):
            if matcher.validate_tokens(list(way.tokens)) == len(way.tokens):
                return way
        raise GenerationError("no way to finish a constrained reply is known: report this with its schema")


def _most(readings: Sequence[Reading]) -> int:
    """Most tokens, the end of turn included, that a reply that goes on from here will still need."""
    return max((reading.most for reading in readings), default=0) + 1


class Closing:
    """The constraint on one reply; see the module. It is one reply's own: its state is how far the reply has come."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._matcher = plan.matcher.deep_copy()
        self._text = b""
        self._most = plan.most
        self._way: Way | None = None
        """How to finish the text as it is; `None` if that is not known."""
        self._bits = np.zeros((plan.vocabulary.known + 31) // 32, dtype=np.int32)

    def allowed(self, remaining: int) -> Tensor:
        """Bool [V]: what may come next.

        Args:
            remaining: how many tokens, the end of turn included, may still be written.

        Raises:
            GenerationError: the rest of the model's context is too short for the smallest reply.
        """
        mask = self._by_grammar()
        if self._most < remaining or np.count_nonzero(mask) == 1:
            return torch.from_numpy(mask)
        if self._way is None:
            readings = self._plan.readings(self._text)
            self._most = _most(readings)
            if self._most < remaining:
                return torch.from_numpy(mask)
            self._way = self._plan.way(readings, self._matcher)
        return torch.from_numpy(mask & self._that_fit(mask, self._way, remaining))

    def accept(self, token: int) -> None:
        """Goes on by one token.

        Raises:
            GenerationError: it was not allowed.
        """
        if token in self._plan.vocabulary.end_ids:
            return
        if not self._matcher.consume_token(token):
            raise GenerationError(
                f"the token {token} was not allowed in a constrained reply: {self._matcher.get_error()}"
            )
        self._text += self._plan.vocabulary.text_of(token)
        self._way = self._after_plain_text(token)

    def _after_plain_text(self, token: int) -> Way | None:
        """The way as it was, where the token only made a free string longer."""
        way, room = self._way, int(self._plan.vocabulary.room[token])
        if way is None or not room or not way.closes_text or room > (way.reading.room or 0):
            return None
        return replace(way, reading=replace(way.reading, room=(way.reading.room or 0) - room))

    def _by_grammar(self) -> Mask:
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        width = self._plan.vocabulary.width
        # A new array each time, since the engine may keep it.
        mask: Mask = np.unpackbits(self._bits.view(np.uint8), count=width, bitorder="little").view(np.bool_)
        mask[self._plan.other_ends] = False
        marking = self._plan.markers.completed_by(self._text)
        marked = mask[marking]
        mask[marking] = False
        if marked.any() and not mask.any():
            mask[marking] = marked  # the template itself writes the mark here, as ordinary text
        if not mask.any():
            reason = self._matcher.get_error()
            raise GenerationError(f"a constrained reply cannot go on after {self._text[-80:]!r}: {reason}")
        return mask

    def _that_fit(self, mask: Mask, way: Way, remaining: int) -> Mask:
        """Of the tokens in `mask`, those after which the reply can be whole in time."""
        plan, vocabulary = self._plan, self._plan.vocabulary
        if len(way.tokens) >= remaining:
            raise GenerationError(
                f"the context leaves {remaining} tokens for a reply that needs {len(way.tokens) + 1}: "
                "shorten the conversation or use a model with more context"
            )
        fitting = np.zeros_like(mask)
        fitting[list(way.tokens[:1] or plan.end_ids)] = True
        if way.reading.room is not None:
            if vocabulary.cost(way.reading.missing or b"") + 2 <= remaining:
                fitting |= (vocabulary.room > 0) & (vocabulary.room <= way.reading.room)
                fitting[vocabulary.spell(b'"')] |= way.closes_text
            return fitting
        others = np.flatnonzero(mask & ~fitting)
        if len(others) > _TRIED:
            others = others[vocabulary.single[others]][:_TRIED]
        for token in others.tolist():
            ends = token in plan.end_ids
            fitting[token] = ends or plan.fits(self._text + vocabulary.text_of(token), remaining - 1)
        return fitting
