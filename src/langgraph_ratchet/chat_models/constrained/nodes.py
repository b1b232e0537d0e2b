"""What a constrained reply may be, as a tree: the shortest text of each part, and how to finish one that is begun.

A text is bytes; a control token stands in it as the byte 0xFF, which no UTF-8 holds, and its id in brackets.

`read` reads as much of a part as there is and says, for each way to understand it, what is missing. `most` bounds what
can be missing from now on: however a reply goes on within that understanding, finishing it never takes more tokens.
Why: what is open beside the newest part has fixed shortest texts still to come, and each step only takes some of them
away; what the newest part can need is its `reach`, whichever of its choices are taken.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

CONTROL = re.compile(rb"\xff\[(\d+)\]")
"""A control token in a text."""

_CHARACTER = rb'(?:[^"\\\x00-\x1f\x7f]|\\["\\nrtbf])'
_STRING_BODY = re.compile(rb'"(' + _CHARACTER + rb"*)")
_ESCAPE = re.compile(rb"\\.")
_UTF8_LENGTHS = {first: 2 + (first >= 0xE0) + (first >= 0xF0) for first in range(0xC2, 0xF5)}
_SECOND_BYTE = {0xE0: b"\xa0", 0xF0: b"\x90"}
"""The smallest second byte after these first bytes; after others it is 0x80."""
_BROKEN_CHARACTER = 4
"""Most bytes that finish an escape or a character of which a token wrote only the beginning, and one to spare."""


@dataclass(frozen=True)
class Reading:
    """One way to understand the beginning of a text as a part."""

    end: int
    """Where what was read ends."""
    missing: bytes | None = None
    """The shortest text that finishes the part; `None` if it is whole."""
    most: int = 0
    """Most tokens that finishing the part can take from now on, `end` being the end of the text."""
    room: int | None = None
    """How many plain characters may come next without changing what is missing; `None` outside free text."""


class Costs:
    """What texts cost in the tokens of one vocabulary.

    Args:
        of: most tokens that spelling a text, or any end of it, takes.
    """

    def __init__(self, of: Callable[[bytes], int]) -> None:
        self.of = of
        self._reaches: dict[Node, int] = {}

    def reach(self, node: "Node") -> int:
        """Most tokens that finishing `node` takes, from any place in it that a reply can come to."""
        known = self._reaches.get(node)
        if known is None:
            known = self._reaches[node] = node.reach(self)
        return known


class Node(ABC):
    """A part of a reply. It is never empty, unless it is the list of a `Listing`."""

    shortest: bytes

    @abstractmethod
    def reach(self, costs: Costs) -> int:
        """As `Costs.reach`, which remembers it."""

    @abstractmethod
    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """All ways to understand `text[start:]` as beginning with this part, or being the beginning of it."""

    def unread(self, text: bytes, costs: Costs) -> list[Reading]:
        """The part at the end of a text, where nothing of it is written."""
        return [Reading(len(text), self.shortest, costs.reach(self))]


@dataclass(frozen=True, eq=False)
class Text(Node):
    """A fixed text."""

    shortest: bytes

    def reach(self, costs: Costs) -> int:
        """Any end of the text may be missing."""
        return costs.of(self.shortest)

    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """Whole, or begun."""
        if text.startswith(self.shortest, start):
            return [Reading(start + len(self.shortest))]
        written = text[start : start + len(self.shortest)]
        if start + len(written) == len(text) and self.shortest.startswith(written):
            return [Reading(len(text), self.shortest[len(written) :], costs.reach(self))]
        return []


class Control(Text):
    """A control token."""

    def __init__(self, token: int) -> None:
        super().__init__(b"\xff[%d]" % token)
        object.__setattr__(self, "token", token)

    token: int


@dataclass(frozen=True, eq=False)
class Literals(Node):
    """One of several fixed texts: the values of an enumeration."""

    texts: tuple[bytes, ...]

    @cached_property
    def shortest(self) -> bytes:  # type: ignore[override]  # a value, whether computed or given
        """The shortest of them."""
        return min(self.texts, key=len)

    def reach(self, costs: Costs) -> int:
        """Any end of any of them may be missing."""
        return max(map(costs.of, self.texts))

    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """Each of them that is whole or begun."""
        return [reading for each in self._parts for reading in each.read(text, start, costs)]

    @cached_property
    def _parts(self) -> tuple[Text, ...]:
        return tuple(map(Text, self.texts))


@dataclass(frozen=True, eq=False)
class FreeString(Node):
    """A JSON string of any characters; lengths count characters."""

    minimum: int = 0
    maximum: int | None = None

    @cached_property
    def shortest(self) -> bytes:  # type: ignore[override]  # a value, whether computed or given
        """Empty, or as many letters as it must have."""
        return b'"' + b"a" * self.minimum + b'"'

    def reach(self, costs: Costs) -> int:
        """Every letter may be missing, and the end of a character that is half written."""
        return len(self.shortest) + _BROKEN_CHARACTER

    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """Up to the closing quote, or open where the text ends."""
        if start == len(text):
            return self.unread(text, costs)
        body = _STRING_BODY.match(text, start)
        if body is None:
            return []
        following = text[body.end() :]
        count = _characters(body[1])
        if following.startswith(b'"'):
            fits = self.minimum <= count <= self.most_characters
            return [Reading(body.end() + 1)] if fits else []
        begun = following or _begun_character(body[1])
        if following not in (b"", b"\\"):
            return []
        count += bool(begun)
        missing = _end_of_character(begun) + b"a" * max(0, self.minimum - count) + b'"'
        room = None if begun else self.most_characters - count
        return [Reading(len(text), missing, costs.reach(self), room)] if count <= self.most_characters else []

    @property
    def most_characters(self) -> int:
        """The maximum, or more than there are."""
        return 1 << 30 if self.maximum is None else self.maximum


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """One of several parts."""

    options: tuple[Node, ...]

    @cached_property
    def shortest(self) -> bytes:  # type: ignore[override]  # a value, whether computed or given
        """The shortest of all options."""
        return min((option.shortest for option in self.options), key=len)

    def reach(self, costs: Costs) -> int:
        """Whichever option is taken."""
        return max(map(costs.reach, self.options))

    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """As each option; options that end at the same place are one."""
        if start == len(text):
            return self.unread(text, costs)
        found = (reading for option in self.options for reading in option.read(text, start, costs))
        return list(dict.fromkeys(found))


@dataclass(frozen=True, eq=False)
class Series(Node):
    """Parts one after the other."""

    parts: tuple[Node, ...]

    @cached_property
    def shortest(self) -> bytes:  # type: ignore[override]  # a value, whether computed or given
        """All of them at their shortest."""
        return b"".join(part.shortest for part in self.parts)

    def reach(self, costs: Costs) -> int:
        """From within any of them to the end of all."""
        return self._reach_from(0, costs)

    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """Part after part, in every way."""
        places = [start]
        found: list[Reading] = []
        for number, part in enumerate(self.parts):
            after = number + 1
            rest = b"".join(each.shortest for each in self.parts[after:])
            readings = [reading for place in dict.fromkeys(places) for reading in part.read(text, place, costs)]
            for reading in readings:
                if reading.missing is not None:
                    most = max(reading.most + costs.of(rest), self._reach_from(after, costs))
                    found.append(Reading(len(text), reading.missing + rest, most, reading.room))
            places = [reading.end for reading in readings if reading.missing is None]
        return [*found, *map(Reading, dict.fromkeys(places))]

    def _reach_from(self, number: int, costs: Costs) -> int:
        most, rest = 0, 0
        for part in reversed(self.parts[number:]):
            most = max(most, costs.reach(part) + rest)
            rest += costs.of(part.shortest)
        return most


def _characters(written: bytes) -> int:
    """How many whole characters a string's body stands for; one that is half written does not count."""
    whole = _ESCAPE.sub(b"n", written)
    return len(whole.decode("utf-8", "ignore"))


def _begun_character(written: bytes) -> bytes:
    """The bytes at the end that begin a character and do not finish it."""
    for length in range(1, min(3, len(written)) + 1):
        first = written[-length]
        if first & 0xC0 != 0x80:
            return written[-length:] if _UTF8_LENGTHS.get(first, 1) > length else b""
    return b""


def _end_of_character(begun: bytes) -> bytes:
    """What finishes an escape or a character that is half written."""
    if not begun:
        return b""
    if begun == b"\\":
        return b"n"
    missing = _UTF8_LENGTHS[begun[0]] - len(begun)
    second = _SECOND_BYTE.get(begun[0], b"\x80") if len(begun) == 1 else b""
    return (second + b"\x80" * missing)[:missing]


def sequence(*parts: Node) -> Node:
    """Parts one after the other; a single one stands for itself."""
    return parts[0] if len(parts) == 1 else Series(tuple(parts))


def choice(options: Sequence[Node]) -> Node:
    """One of several parts; a single one stands for itself."""
    return options[0] if len(options) == 1 else Choice(tuple(options))


def fixed(text: bytes) -> list[Node]:
    """Text and control tokens as parts."""
    nodes: list[Node] = []
    at = 0
    for match in CONTROL.finditer(text):
        if match.start() > at:
            nodes.append(Text(text[at : match.start()]))
        nodes.append(Control(int(match[1])))
        at = match.end()
    return [*nodes, Text(text[at:])] if at < len(text) else nodes
