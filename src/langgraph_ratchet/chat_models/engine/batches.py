"""The batches of an engine: one for each adapter in use, which take turns, token by token.

So calls with different adapters run side by side, and a call with an adapter that has just been promoted does not wait
for those that began with the old one. The engine's thread owns all of this but the queue, which a lock guards.
"""

import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Sequence

from langgraph_ratchet.chat_models.adapters import KEPT, Adapter, Adapters
from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine.batch import Batch
from langgraph_ratchet.chat_models.engine.memory import RowLimit, is_out_of_memory, return_unused, share_of_memory
from langgraph_ratchet.chat_models.engine.queue import FairQueue
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.core.errors import RatchetError

_PATIENCE_S = 0.02
"""A running batch lets a few requests gather before it is interrupted for them, but not for longer."""
_MEASURED_S = 1.0
"""Free memory is asked for no more often than this."""


class Batches:
    """Lets rows in from the queue, takes their tokens, and answers those that have finished.

    Args:
        base: the base model.
        adapters: the base with adapters applied.
        queue: where rows wait.
        lock: guards `queue`.
        deterministic: see `Batch`.
        kv_bytes: that keys and values may take in all; `None` takes a share of what is free.
    """

    def __init__(
        self,
        base: Base,
        adapters: Adapters,
        queue: FairQueue,
        lock: threading.Condition,
        *,
        deterministic: bool,
        kv_bytes: int | None,
    ) -> None:
        self._base = base
        self._adapters = adapters
        self._queue = queue
        self._lock = lock
        self._deterministic = deterministic
        self._given_bytes = kv_bytes
        self._share: tuple[float, int] = (0.0, 0)
        self._limit = RowLimit()
        # The bare base's is there from the start: a base that cannot be run is refused where the engine is made.
        self._batches: OrderedDict[Adapter | None, Batch] = OrderedDict({None: self._new()})

    @property
    def rows(self) -> int:
        """Rows that run."""
        return sum(len(batch.rows) for batch in self._batches.values())

    def turn(self) -> None:
        """Lets in who may come, and takes one more token for every row."""
        with self._lock:
            waiting = self._queue.waiting()
        closing = self._make_room([adapter for adapter, _, _ in waiting])
        advanced = set()
        for adapter, count, since in waiting:
            if adapter in self._batches and adapter not in closing:
                self._advance(adapter, self._take(adapter, count, since))
                advanced.add(adapter)
        for adapter in [known for known in self._batches if known not in advanced]:
            self._advance(adapter, [])

    def drop_cancelled(self) -> None:
        """Removes the rows that nobody waits for any more."""
        for batch in self._batches.values():
            batch.drop(lambda row: row.request.future.cancelled())

    def fail(self, what: str, error: BaseException | None = None) -> None:
        """Ends all rows that run."""
        for batch in self._batches.values():
            _fail(batch.forget(), what, error)

    def _new(self) -> Batch:
        return Batch(self._base, deterministic=self._deterministic)

    def _make_room(self, wanted: Sequence[Adapter | None]) -> set[Adapter | None]:
        """Opens a batch for each adapter that is waited for, in the place of an idle one where there are many.

        Returns:
            The adapters whose batches take nobody until they are idle, because others wait for their places.
        """
        opened: set[Adapter | None] = set()
        closing: set[Adapter | None] = set()
        for adapter in wanted:
            if adapter in self._batches:
                continue
            if len(self._batches) >= KEPT:
                idle = [known for known, batch in self._batches.items() if not batch.rows and known not in wanted]
                # Else the one that let nobody in for longest: it is closed until it is idle.
                others = [known for known in self._batches if known not in opened | closing]
                if not idle and not others:
                    break
                leaving = (idle or others)[0]
                if self._batches[leaving].rows:
                    closing.add(leaving)
                    continue
                del self._batches[leaving]
            self._batches[adapter] = self._new()
            opened.add(adapter)
        return closing

    def _take(self, adapter: Adapter | None, count: int, since: float) -> list[Row]:
        """Takes the rows that join the batch of `adapter` now out of the queue."""
        batch = self._batches[adapter]
        running, others = len(batch.rows), self.rows - len(batch.rows)
        late = time.monotonic() - since > _PATIENCE_S
        if running and batch.gathers and not late and count * 4 < running:
            return []
        room = self._room(batch)
        joining = longest = 0

        def admit(row: Row) -> bool:
            nonlocal joining, longest
            more = joining + 1
            if running + more > row.request.max_batch or not self._limit.allows(others + running + more):
                return False
            if not batch.fits(more, max(longest, row.longest), room):
                return False
            joining, longest = more, max(longest, row.longest)
            return True

        with self._lock:
            taken = self._queue.take(adapter, admit)
        if taken:
            self._batches.move_to_end(adapter)
        return taken

    def _room(self, batch: Batch) -> int:
        """Bytes that the keys and values of `batch` may take: what others leave, but no less than its part."""
        others = [other for other in self._batches.values() if other is not batch]
        for other in others:
            other.release()
        held = sum(other.held_bytes for other in others)
        total = self._given_bytes
        if total is None:
            measured, total = self._share
            if time.monotonic() - measured > _MEASURED_S:
                total = share_of_memory(self._base.model.device, held + batch.held_bytes)
                self._share = (time.monotonic(), total)
        return max(total - held, total // (1 + sum(1 for other in others if other.rows)))

    def _advance(self, adapter: Adapter | None, joining: list[Row]) -> None:
        """Reads the prompts of rows that join the batch of `adapter`, and takes one token for each of its rows."""
        batch = self._batches[adapter]
        if not joining and not batch.rows:
            return
        try:
            model = self._adapters.select(adapter)
            _answer(batch.advance(model, joining))
        except Exception as error:
            self._give_up(batch, joining, error)
        else:
            self._limit.went_well(self.rows)

    def _give_up(self, batch: Batch, joining: Sequence[Row], error: Exception) -> None:
        """Ends the rows of a batch that has failed; where it was for want of memory, they go back to the queue."""
        rows = list(dict.fromkeys((*batch.forget(), *joining)))
        _answer([row for row in rows if row.finished])
        rows = [row for row in rows if not row.finished]
        what = "the model failed"
        if is_out_of_memory(error):
            traceback.clear_frames(error.__traceback__)  # they hold what the failed step had taken
            for other in self._batches.values():
                other.release()
            return_unused(self._base.model.device)
            running = len(rows) + self.rows
            if running > 1:
                self._limit.halve(running)
                for row in rows:
                    row.put_back()
                with self._lock:
                    self._queue.put_back([row for row in rows if not row.request.future.cancelled()])
                return
            what = (
                f"memory does not suffice for one call of up to {rows[0].longest} tokens, prompt included: shorten the "
                "conversation, lower max_tokens, or use a smaller model"
            )
        _fail(rows, what, error)


def _answer(finished: Sequence[Row]) -> None:
    for row in finished:
        row.answer()


def _fail(rows: Sequence[Row], what: str, error: BaseException | None) -> None:
    for row in rows:
        row.fail(what, error)
        if isinstance(error, RatchetError):
            row.error = error  # says what it is about already
        row.answer()
