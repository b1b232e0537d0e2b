"""The recorder: what a running graph tells of itself. It never stops a run.

A store that fails is the store's trouble, not the user's: the failure is counted, said once through `logging`, and
the run is marked lost. A lost run goes on to its answer, is not written any further, and is never trained on.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import StoreError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.traces.body import cleaned

if TYPE_CHECKING:  # importing the store would load SQLAlchemy (0.3 s) for graphs that record nothing
    from langgraph_ratchet.traces.store import TraceStore

R = TypeVar("R")

_log = logging.getLogger(__name__)

_MAX_OPEN_RUNS = 10_000
"""Runs whose calls are kept in memory; a cancelled run never says that it ended, so the oldest make room."""


class Recorder:
    """Records runs into `store`; with `None`, in memory for as long as each run lasts. Any thread may use it."""

    def __init__(self, store: "TraceStore | None" = None) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._calls: dict[str, Call] = {}
        self._open: OrderedDict[str, list[str]] = OrderedDict()
        self._lost: set[str] = set()

    @property
    def lost(self) -> int:
        """Runs that could not be stored."""
        return len(self._lost)

    def is_lost(self, run_id: str) -> bool:
        """Whether part of this run could not be stored; its trace is then never written."""
        return run_id in self._lost

    def start(self, run_id: str, question: Question, model: str, started_at: float) -> None:
        """A run begins, or goes on after an interruption. `started_at` is Unix time in seconds."""
        self._write(run_id, lambda store: store.begin(run_id, question, model, started_at))

    def call(self, call: Call) -> Call:
        """Records a call and returns it as recorded: clean, with its final id and attempt (see `TraceStore.add_call`).

        The run must go on with the returned call, not with the one it gave.
        """
        run_id = call.key.run_id
        recorded = self._write(run_id, lambda store: store.add_call(call)) or _cleaned_if_possible(call)
        with self._lock:
            self._calls[recorded.id] = recorded
            self._open.setdefault(run_id, []).append(recorded.id)
            if len(self._open) > _MAX_OPEN_RUNS:
                self._forget(next(iter(self._open)))
        return recorded

    def step(self, run_id: str, task_id: str, index: int, step: Step) -> None:
        """Records a step, known by the node execution that took it and its position (from 0) within it."""
        self._write(run_id, lambda store: store.add_step(run_id, task_id, index, step))

    def finish(self, trace: Trace) -> None:
        """Records the trace and forgets the run's calls. The trace of a lost run is not written."""
        self._write(trace.id, lambda store: store.finish(trace))
        if self.store is not None and self.is_lost(trace.id):
            try:
                self.store.mark_lost(trace.id)  # so that nobody takes it for a run that is still going
            except Exception as error:
                _log.debug("run %s could not be marked lost either: %s", trace.id, error)
        with self._lock:
            self._forget(trace.id)

    def calls(self, ids: Sequence[str], *, run_id: str | None = None) -> tuple[Call, ...]:
        """The calls with these ids, in this order: from memory, else (after a resume) from the store.

        A call that is in neither is left out, and `run_id`, when given, is marked lost.
        """
        with self._lock:
            found = {id_: self._calls[id_] for id_ in ids if id_ in self._calls}
        if elsewhere := [id_ for id_ in ids if id_ not in found]:
            try:
                stored = self.store.find_calls(elsewhere) if self.store is not None else []
                found |= {call.id: call for call in stored}
                if missing := [id_ for id_ in elsewhere if id_ not in found]:
                    raise StoreError(f"calls {', '.join(missing)} are neither in memory nor stored")
            except Exception as error:  # as in _write
                self._lose(run_id, error)
        return tuple(found[id_] for id_ in ids if id_ in found)

    def _write(self, run_id: str, write: "Callable[[TraceStore], R]") -> R | None:
        """Result of `write`; `None` when there is no store, the run is lost already, or the store fails now."""
        if self.store is None or self.is_lost(run_id):
            return None
        try:
            return write(self.store)
        except Exception as error:  # whatever it is: recording must not end a run that reasons well
            self._lose(run_id, error)
            return None

    def _lose(self, run_id: str | None, error: Exception) -> None:
        with self._lock:
            first = not self._lost
            if run_id is not None:
                self._lost.add(run_id)
        _log.log(
            logging.WARNING if first else logging.DEBUG,
            "run %s is not recorded and will not be trained on: %s. Later losses are counted in Recorder.lost",
            run_id,
            error,
        )

    def _forget(self, run_id: str) -> None:
        for call_id in self._open.pop(run_id, []):
            self._calls.pop(call_id, None)


def _cleaned_if_possible(call: Call) -> Call:
    try:
        return cleaned(call)
    except StoreError:
        return call
