"""Numbers, and strings of a pattern: what only a regular expression describes, and how to finish one that is begun."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from langgraph_ratchet.chat_models.constrained.nodes import Costs, Node, Reading

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NUMBER = re.compile(rb"[-+.0-9eE]+")
_TRIED, _TRIED_LATER = 6000, 150
"""Places that the search for the shortest text, or later for an end, looks at before it takes any."""
_KEPT = 300
"""Ends that a leaf remembers."""
_FEW = 24
_LIKELY = frozenset(b"aAz09") | {byte for byte in range(0x20, 0x7F) if not chr(byte).isalnum()}
"""What the search tries where more than a few bytes may come: letters and digits mostly do not differ."""


class ByteTokenizer:
    """A tokenizer whose tokens are the 256 bytes and an end, in the form that llguidance takes."""

    is_tokenizer_wrapper = True
    eos_token_id = 256
    bos_token_id = None
    tokens = (*(bytes((byte,)) for byte in range(256)), b"<end>")
    special_token_ids = (256,)

    def __call__(self, text: bytes | str) -> list[int]:
        """The text's bytes."""
        return list(text if isinstance(text, bytes) else text.encode())


@cache
def _byte_tokenizer() -> LLTokenizer:
    return LLTokenizer(ByteTokenizer())  # type: ignore[arg-type]  # it asks for what the class has, not for the class


def byte_matcher(lark: str) -> LLMatcher:
    """Matches single bytes against a grammar; see `LLMatcher.get_error` for one that is not understood."""
    return LLMatcher(_byte_tokenizer(), LLMatcher.grammar_from_lark(lark), log_level=0)


@dataclass(frozen=True, eq=False)
class Leaf(Node):
    """A number, or a string that must match patterns. The expression bounds its length.

    Raises:
        ValueError: the expression is not understood, or nothing matches it; the text says which.
    """

    lark: str
    """The right side of its rule in Lark's syntax."""
    longest: int
    """Most bytes that the shortest end of it can take, from any place in it."""
    quoted: bool
    _ends: dict[bytes, bytes | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self._matcher.is_error():
            raise ValueError(self._matcher.get_error().split("\n")[0])
        if self.finish(b"") is None:
            raise ValueError("nothing satisfies it")

    @cached_property
    def _matcher(self) -> LLMatcher:
        name = "t" if self.lark.startswith("%json") else "T"
        return byte_matcher(f"start: {name}\n{name}: {self.lark}")

    @cached_property
    def shortest(self) -> bytes:  # type: ignore[override]  # a value, whether computed or given
        """As near to the shortest as a short search finds."""
        return self.finish(b"") or b""

    def reach(self, costs: Costs) -> int:
        """As many tokens as bytes."""
        return self.longest

    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """Whole if it matches, or begun where the text ends."""
        if start == len(text):
            return self.unread(text, costs)
        whole = (_STRING if self.quoted else _NUMBER).match(text, start)
        end = len(text) if whole is None else whole.end()
        missing = self.finish(text[start:end])
        if missing is None:
            return []
        found = [Reading(end)] if missing == b"" else []
        open_ended = whole is None or (not self.quoted and end == len(text))
        return [*found, Reading(end, missing, costs.reach(self))] if open_ended else found

    def finish(self, begun: bytes) -> bytes | None:
        """A short text that makes `begun` match, empty if it does already; `None` if there is none."""
        if begun not in self._ends:
            matcher = self._matcher.deep_copy()
            fits = matcher.try_consume_tokens(list(begun)) == len(begun)
            end = self._known_end(matcher) if fits and begun else None
            if len(self._ends) > _KEPT:
                self._ends.clear()
            if fits and end is None:
                end = _shortest_end(matcher, _TRIED_LATER if begun else _TRIED)
            self._ends[begun] = end
        return self._ends[begun]

    def _known_end(self, matcher: LLMatcher) -> bytes | None:
        """The end of the shortest text, if it fits here too; that is most often so, and quickly seen."""
        for start in range(len(self.shortest), -1, -1):
            end = self.shortest[start:]
            place = matcher.deep_copy()
            if place.try_consume_tokens(list(end)) == len(end) and place.is_accepting():
                return end
        return None


def _shortest_end(matcher: LLMatcher, most_tried: int) -> bytes | None:
    """The shortest text that the matcher accepts next, as far as a short search finds it.

    The search goes breadth first. Of places that are equally far, come after the same kind of byte and go on with the
    same bytes it follows only two, so it may miss a shorter end but always gives a true one.
    """
    level = [(b"", matcher)]
    tried = 0
    while level and tried < most_tried:
        later: list[tuple[bytes, LLMatcher]] = []
        alike: Counter[bytes] = Counter()
        for end, place in level:
            if place.is_accepting():
                return end
            for byte in _representatives(_next_bytes(place)):
                tried += 1
                after = place.deep_copy()
                after.consume_token(byte)
                kind = bytes((after.is_accepting(), 0 if chr(byte).isalnum() else byte)) + after.compute_bitmask()
                alike[kind] += 1
                if alike[kind] <= 2:
                    later.append((end + bytes((byte,)), after))
        level = later
    return _any_end(matcher)


def _any_end(matcher: LLMatcher) -> bytes | None:
    """Some text that the matcher accepts next: always the byte that was used least so far."""
    used: Counter[int] = Counter()
    end = bytearray()
    place = matcher.deep_copy()
    while not place.is_accepting():
        options = _next_bytes(place)
        if not options:
            return None
        byte = min(options, key=lambda option: used[option])
        used[byte] += 1
        end.append(byte)
        place.consume_token(byte)
    return bytes(end)


def _next_bytes(matcher: LLMatcher) -> list[int]:
    """What may come next: letters and digits first, and beyond ASCII only where nothing else may."""
    mask: Any = matcher.compute_bitmask()
    found = [byte for byte in range(256) if mask[byte >> 3] >> (byte & 7) & 1]
    return sorted([byte for byte in found if byte < 0x80] or found, key=lambda byte: not chr(byte).isalnum())


def _representatives(options: list[int]) -> list[int]:
    return [byte for byte in options if byte in _LIKELY] if len(options) > _FEW else options
