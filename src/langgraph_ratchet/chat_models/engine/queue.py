"""Who waits for the engine: bounded, and fair between runs.

Requests wait by adapter and, within it, by run. The runs take turns, so that one with a thousand calls does not keep
another with two waiting; within a run the first to come is the first to go.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from langgraph_ratchet.chat_models.adapters import Adapter
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.core.errors import OverloadedError

MAX_WAITING = 10_000
"""Calls that may wait for one engine, unless it is told otherwise."""


class FairQueue:
    """Rows that wait. Adding, taking and discarding one take the same time however many wait. Not thread-safe.

    Args:
        max_waiting: rows that may wait.
        whose: names the queue's owner in messages.
    """

    def __init__(self, max_waiting: int, whose: str) -> None:
        self._max_waiting = max_waiting
        self._whose = whose
        self._lanes: dict[Adapter | None, _Lane] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, row: Row) -> None:
        """Adds a row.

        Raises:
            OverloadedError: as many wait as may.
        """
        if self._count >= self._max_waiting:
            raise OverloadedError(
                f"{self._count} calls wait for {self._whose} already and no more than {self._max_waiting} may, so this "
                "one was not taken: ask again later, or make fewer calls at once"
            )
        lane = self._lanes.get(row.request.adapter)
        if lane is None:
            lane = self._lanes[row.request.adapter] = _Lane(row.request.arrived)
        lane.add(row)
        self._count += 1

    def put_back(self, rows: Sequence[Row]) -> None:
        """Adds rows that were let in before: they go before all others, and however many wait already."""
        for row in rows:
            lane = self._lanes.get(row.request.adapter)
            if lane is None:
                lane = self._lanes[row.request.adapter] = _Lane(row.request.arrived)
            lane.returned.append(row)
            self._count += 1

    def discard(self, row: Row) -> bool:
        """Removes a row; whether it was there."""
        lane = self._lanes.get(row.request.adapter)
        if lane is None or not lane.discard(row):
            return False
        self._removed(row.request.adapter, lane)
        return True

    def waiting(self) -> list[tuple[Adapter | None, int, float]]:
        """Each adapter that is waited for, how many wait for it, and since when (`time.monotonic`); oldest first."""
        lanes = sorted(self._lanes.items(), key=lambda item: item[1].since)
        return [(adapter, len(lane), lane.since) for adapter, lane in lanes]

    def first(self) -> Row | None:
        """One of the rows that would be taken next."""
        lane = next(iter(self._lanes.values()), None)
        return lane.first() if lane else None

    def take(self, adapter: Adapter | None, admit: Callable[[Row], bool]) -> list[Row]:
        """Removes the rows that are next for `adapter`, up to the first that `admit` refuses."""
        taken: list[Row] = []
        while (lane := self._lanes.get(adapter)) is not None and admit(row := lane.first()):
            lane.pass_on()
            lane.since = time.monotonic()
            self._removed(adapter, lane)
            taken.append(row)
        return taken

    def clear(self) -> list[Row]:
        """Removes all rows and gives them."""
        rows = [row for lane in self._lanes.values() for row in lane.rows()]
        self._lanes.clear()
        self._count = 0
        return rows

    def _removed(self, adapter: Adapter | None, lane: "_Lane") -> None:
        self._count -= 1
        if not len(lane):
            del self._lanes[adapter]


class _Lane:
    """The rows that wait for one adapter."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.returned: deque[Row] = deque()
        self._runs: OrderedDict[object, OrderedDict[Row, None]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return len(self.returned) + self._count

    def add(self, row: Row) -> None:
        """Adds a row at the end of its run."""
        self._runs.setdefault(_run(row), OrderedDict())[row] = None
        self._count += 1

    def first(self) -> Row:
        """The next row of a lane that is not empty."""
        return self.returned[0] if self.returned else next(iter(next(iter(self._runs.values()))))

    def pass_on(self) -> None:
        """Removes the next row; then it is the next run's turn."""
        if self.returned:
            self.returned.popleft()
            return
        run, rows = self._runs.popitem(last=False)
        rows.popitem(last=False)
        self._count -= 1
        if rows:
            self._runs[run] = rows

    def discard(self, row: Row) -> bool:
        """Removes a row; whether it was there."""
        if row in self.returned:  # few: as many as ran at once when memory ran out
            self.returned.remove(row)
            return True
        rows = self._runs.get(_run(row))
        if rows is None or row not in rows:
            return False
        del rows[row]
        self._count -= 1
        if not rows:
            del self._runs[_run(row)]
        return True

    def rows(self) -> list[Row]:
        """All rows."""
        return [*self.returned, *(row for rows in self._runs.values() for row in rows)]


def _run(row: Row) -> object:
    return row if row.request.run is None else row.request.run
