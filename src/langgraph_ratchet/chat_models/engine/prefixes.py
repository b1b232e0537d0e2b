"""Keys and values of prompts that were read before, so that what prompts begin with in common is read once."""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor

_STRIDE = 8
"""Prefixes are looked up at multiples of this many tokens."""

Ids = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Prefix:
    """A prompt that was read: its ids, and its keys and values [L, 2, H, len(ids), D]."""

    ids: Ids
    saved_L2HCD: Tensor


class Prefixes:
    """The prompts read last under one adapter, within a limit of memory; the least recently used goes first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Ids, Prefix] = OrderedDict()
        self._by_start: dict[int, Prefix] = {}

    def longest(self, ids: Ids) -> tuple[Prefix | None, int]:
        """The entry that shares most tokens with `ids`, and how many; the last token is never shared.

        At least one token must be left to read, because its output chooses the first new token.
        """
        found = (self._by_start.get(start) for start in reversed(_starts(ids[:-1])))
        best = next((entry for entry in found if entry is not None), None)
        if best is None:
            return None, 0
        self._entries.move_to_end(best.ids)
        return best, min(_shared(best.ids, ids), len(ids) - 1)

    def add(self, ids: Ids, saved_L2HCD: Tensor) -> None:
        """Keeps a prompt that has been read."""
        size = saved_L2HCD.nbytes
        if ids in self._entries or size > self._max_bytes:
            return
        entry = Prefix(ids, saved_L2HCD)
        self._entries[ids] = entry
        self._bytes += size
        self._by_start.update(dict.fromkeys(_starts(ids), entry))
        while self._bytes > self._max_bytes:
            self._drop(self._entries.popitem(last=False)[1])

    def clear(self) -> None:
        """Drops everything."""
        self._entries.clear()
        self._by_start.clear()
        self._bytes = 0

    def _drop(self, entry: Prefix) -> None:
        self._bytes -= entry.saved_L2HCD.nbytes
        for start in _starts(entry.ids):
            if self._by_start.get(start) is entry:
                del self._by_start[start]


def _starts(ids: Ids) -> list[int]:
    """A hash of each beginning of `ids` that is a multiple of the stride long; equal ones are compared before use."""
    starts, start = [], 0
    for end in range(_STRIDE, len(ids) + 1, _STRIDE):
        start = hash((start, ids[end - _STRIDE : end]))
        starts.append(start)
    return starts


def _shared(one: Ids, other: Ids) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
