"""Keys and values of what was read and written before, so that what prompts begin with in common is read once."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from langgraph_ratchet.chat_models.engine.saved import Saved

Ids = tuple[int, ...]


@dataclass(eq=False)
class _Node:
    """Tokens that follow those of the node above, with their keys and values."""

    ids: Ids
    saved: Saved
    above: "_Node | None"
    below: "dict[int, _Node]" = field(default_factory=dict)
    """By the first of their tokens."""


class Prefixes:
    """A tree of token sequences of one adapter, within a limit of memory; the ends least recently used go first.

    What sequences begin with in common is held once.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._roots: dict[int, _Node] = {}
        # A node always comes after all that are below it, so the first is never one that others need.
        self._used: OrderedDict[_Node, None] = OrderedDict()
        self.nbytes = 0
        """Memory that is held."""

    def longest(self, ids: Ids) -> tuple[list[Saved], int]:
        """Stretches that `ids` begins with, in order, and how many tokens they have together.

        The last token is never among them: at least one must be read, because its output chooses the next.
        """
        path, known = self._match(ids[:-1])
        stretches, left = [], known
        for node in path:
            taken = min(left, len(node.ids))
            stretches.append(node.saved if taken == len(node.ids) else node.saved.part(0, taken))
            left -= taken
        self._touch(path)
        return stretches, known

    def add(self, ids: Ids, read: Callable[[int, int], Saved]) -> None:
        """Keeps what is not known of a sequence yet.

        Args:
            ids: the sequence.
            read: gives a copy of the keys and values of the tokens from one place to another.
        """
        path, known = self._match(ids)
        if known < len(ids):
            above = self._branch(path, known)
            node = _Node(ids[known:], read(known, len(ids)), above)
            if node.saved.nbytes <= self._max_bytes:
                (self._roots if above is None else above.below)[ids[known]] = node
                self.nbytes += node.saved.nbytes
                path = [*([] if above is None else _upwards(above)), node]
        self._touch(path)
        while self.nbytes > self._max_bytes:
            self._drop(next(iter(self._used)))

    def clear(self) -> None:
        """Drops everything."""
        self._roots.clear()
        self._used.clear()
        self.nbytes = 0

    def _match(self, ids: Ids) -> tuple[list[_Node], int]:
        """The nodes that `ids` leads through, the last perhaps only in part, and how many tokens agree."""
        path: list[_Node] = []
        known, below = 0, self._roots
        while known < len(ids) and (node := below.get(ids[known])) is not None:
            path.append(node)
            end = known + len(node.ids)
            if ids[known:end] != node.ids:
                return path, known + _shared(ids[known:end], node.ids)
            known, below = end, node.below
        return path, known

    def _branch(self, path: list[_Node], known: int) -> _Node | None:
        """The node that a new one is put under; the last of the path is divided where it agrees only in part."""
        if not path:
            return None
        last = path[-1]
        agreed = known - sum(len(node.ids) for node in path[:-1])
        if agreed == len(last.ids):
            return last
        # Two copies, not two views: a view would keep all of the memory when the other is dropped.
        head = _Node(last.ids[:agreed], last.saved.part(0, agreed).copy(), last.above, {last.ids[agreed]: last})
        (self._roots if last.above is None else last.above.below)[head.ids[0]] = head
        last.ids, last.saved, last.above = last.ids[agreed:], last.saved.part(agreed, len(last.ids)).copy(), head
        return head

    def _touch(self, path: list[_Node]) -> None:
        for node in reversed(path):
            self._used[node] = None
            self._used.move_to_end(node)

    def _drop(self, node: _Node) -> None:
        del self._used[node]
        del (self._roots if node.above is None else node.above.below)[node.ids[0]]
        self.nbytes -= node.saved.nbytes


def _upwards(node: _Node | None) -> list[_Node]:
    """A node and those above it, the highest first."""
    path: list[_Node] = []
    while node is not None:
        path.append(node)
        node = node.above
    return path[::-1]


def _shared(one: Ids, other: Ids) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
