"""Lists of parts: JSON objects and arrays, and several tool calls in one reply."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from langgraph_ratchet.chat_models.constrained.nodes import Costs, Node, Reading


@dataclass(frozen=True, eq=False)
class Member:
    """A part that may be listed."""

    node: Node
    required: bool = True


@dataclass(frozen=True, eq=False)
class Listing(Node):
    """Members in a fixed order, those that are not required left out or not, then one part over and over."""

    opening: bytes
    closing: bytes
    separator: bytes
    members: tuple[Member, ...] = ()
    repeated: Node | None = None
    minimum: int = 0
    """How often `repeated` must come."""
    maximum: int = 0

    @cached_property
    def shortest(self) -> bytes:  # type: ignore[override]  # a value, whether computed or given
        """Only what is required."""
        return self.opening + self._rest(0, 0).removeprefix(self.separator)

    def reach(self, costs: Costs) -> int:
        """From before the list, or within any of its parts, to its end."""
        return max(costs.of(self.shortest), self._reach_from(0, 0, costs))

    def read(self, text: bytes, start: int, costs: Costs) -> list[Reading]:
        """Part after part, in every way."""
        if start == len(text):
            return self.unread(text, costs)
        if not text.startswith(self.opening, start):
            begun = self.opening.startswith(text[start:])
            return [Reading(len(text), self.shortest[len(text) - start :], costs.reach(self))] if begun else []
        found: dict[Reading, None] = {}
        seen = {(start + len(self.opening), 0, 0, True)}
        places = list(seen)
        while places:
            place, number, count, first = places.pop()
            self._close(text, place, (number, count, first), costs, found)
            for reading, number_after, count_after in self._listed(text, place, (number, count, first), costs):
                if reading.missing is not None:
                    rest = self._rest(number_after, count_after)
                    most = max(reading.most + costs.of(rest), self._reach_from(number_after, count_after, costs))
                    found[Reading(len(text), reading.missing + rest, most, reading.room)] = None
                    continue
                after = (reading.end, number_after, count_after, False)
                if after not in seen:
                    seen.add(after)
                    places.append(after)
        return list(found)

    def _close(
        self, text: bytes, place: int, state: tuple[int, int, bool], costs: Costs, found: dict[Reading, None]
    ) -> None:
        """Adds the readings in which nothing more is listed, or nothing more is written."""
        number, count, first = state
        rest = self._rest(number, count)
        rest = rest.removeprefix(self.separator) if first else rest
        if place == len(text):
            most = max(costs.of(rest), self._reach_from(number, count, costs))
            found[Reading(place, rest, most)] = None
        if rest != self.closing:
            return
        written = text[place : place + len(self.closing)]
        if written == self.closing:
            found[Reading(place + len(self.closing))] = None
        elif place < place + len(written) == len(text) and self.closing.startswith(written):
            found[Reading(len(text), self.closing[len(written) :], costs.of(self.closing))] = None

    def _listed(
        self, text: bytes, place: int, state: tuple[int, int, bool], costs: Costs
    ) -> Iterator[tuple[Reading, int, int]]:
        """Readings of the next part that is listed, each with the member and the count that come after it."""
        number, count, first = state
        before = b"" if first else self.separator
        written = text[place : place + len(before)]
        if not before.startswith(written) or place == len(text):
            return
        for node, number_after, count_after in self._next(number, count):
            if len(written) < len(before):
                missing = before[len(written) :] + node.shortest
                most = costs.of(before) + costs.reach(node)
                yield Reading(len(text), missing, most), number_after, count_after
                continue
            for reading in node.read(text, place + len(before), costs):
                yield reading, number_after, count_after

    def _next(self, number: int, count: int) -> Iterator[tuple[Node, int, int]]:
        for later, member in enumerate(self.members[number:], number + 1):
            yield member.node, later, count
            if member.required:
                return
        if self.repeated is not None and count < self.maximum:
            yield self.repeated, len(self.members), count + 1

    def _rest(self, number: int, count: int) -> bytes:
        """What must follow at the least once the members before `number` and `count` repetitions are passed."""
        repeated = b"" if self.repeated is None else self.separator + self.repeated.shortest
        return self._tails[number] + repeated * max(0, self.minimum - count) + self.closing

    @cached_property
    def _tails(self) -> list[bytes]:
        """For each member, the separators and required members from there on."""
        tails = [b""]
        for member in reversed(self.members):
            tails.append((self.separator + member.node.shortest if member.required else b"") + tails[-1])
        return tails[::-1]

    def _reach_from(self, number: int, count: int, costs: Costs) -> int:
        """Most tokens that can be missing once any part from `number` and `count` on has been begun."""
        rest = costs.of(self.closing)
        most = rest
        separator = costs.of(self.separator)
        if self.repeated is not None and count < self.maximum:
            one = separator + costs.of(self.repeated.shortest)
            # The first repetition has the most others still to come.
            rest_after_first = rest + one * max(0, self.minimum - count - 1)
            most = max(most, separator + costs.reach(self.repeated) + rest_after_first)
            rest += one * max(0, self.minimum - count)
        for member in reversed(self.members[number:]):
            most = max(most, separator + costs.reach(member.node) + rest)
            rest += separator + costs.of(member.node.shortest) if member.required else 0
        return max(most, rest)
