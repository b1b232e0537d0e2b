"""The engine: generates for everybody who waits, in batches that rows join and leave.

Callers hand in requests and wait on futures. What a row draws depends on its own seed and prompt, never on the rows
beside it. A small model has a worker for each core, since its matrices are too small to be shared out among cores; a
large one has a single worker, and torch shares its matrices out.
"""

import atexit
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

import torch

from langgraph_ratchet.chat_models.adapters import Adapter, Adapters
from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine.decoder import decoder_of
from langgraph_ratchet.chat_models.engine.queue import MAX_WAITING
from langgraph_ratchet.chat_models.engine.request import Completion, Request
from langgraph_ratchet.chat_models.engine.worker import Worker
from langgraph_ratchet.core.errors import BadInputError

T = TypeVar("T")

_CORES = torch.get_num_threads()
"""Asked before workers are set to one: torch tells threads that are started later of the last setting."""
_MOST_WORKERS = 4
"""With more, they would wait for Python's lock."""
_SMALL_BYTES = 64 << 20
_UNEVEN = 4
"""A run leaves the worker that knows its earlier calls when another has this many calls fewer."""
_HOMES = 10_000
_CLOSE_S = 10.0
_PYTHONS_SWITCH_S, _SWITCH_S = 0.005, 0.0005
"""How long Python lets a thread wait for its lock before it takes it from another: its default, and ours."""


class Engine:
    """Generates with one base model and its adapters. Threads start with the first request.

    With several workers Python's switch interval, if it still is the default of 5 ms, is set to 0.5 ms for this
    process: a worker that comes back from a matrix product would else often wait 5 ms for the other's Python code.

    Args:
        base: the base model.
        adapters: the base with adapters applied; made here if it is not given. With them there is one worker.
        deterministic: whether a row's tokens must not depend on the rows beside it even by rounding (see `Batch`).
        max_waiting: requests that may wait; more are refused.
        kv_bytes: memory that keys and values may take; `None` takes a share of what is free, asked anew as rows join.
        workers: threads that generate; `None` chooses.
    """

    def __init__(
        self,
        base: Base,
        adapters: Adapters | None = None,
        *,
        deterministic: bool = False,
        max_waiting: int = MAX_WAITING,
        kv_bytes: int | None = None,
        workers: int | None = None,
    ) -> None:
        self.base = base
        count = 1 if adapters or deterministic else workers or _workers_for(base)
        self._workers = [
            Worker(
                base,
                adapters or Adapters(base),
                deterministic=deterministic,
                max_waiting=-(-max_waiting // count),
                kv_bytes=kv_bytes if kv_bytes is None else kv_bytes // count,
                # Deterministic: sums that are split among threads round differently.
                one_core=deterministic or count > 1,
            )
            for _ in range(count)
        ]
        self._homes: OrderedDict[str, Worker] = OrderedDict()
        self._placing = threading.Lock()
        self._closed = False
        if count > 1 and sys.getswitchinterval() == _PYTHONS_SWITCH_S:
            sys.setswitchinterval(_SWITCH_S)
        _open.add(self)

    @property
    def running(self) -> int:
        """Requests that are being generated for; another thread may change it at any time."""
        return sum(worker.running for worker in self._workers)

    @property
    def waiting(self) -> int:
        """Requests that wait to be let in; another thread may change it at any time."""
        return sum(worker.waiting for worker in self._workers)

    def submit(self, request: Request) -> "Future[Completion]":
        """Queues a request; its future gives the completion. Cancelling the future drops the request.

        Raises:
            BadInputError: the prompt leaves no room in the model's context, an option is outside its range, or the
                engine is closed.
            OverloadedError: as many requests wait as may.
        """
        if not request.prompt_ids:
            raise BadInputError("the prompt has no tokens: give it at least one")
        if len(request.prompt_ids) >= self.base.context:
            raise BadInputError(
                f"the prompt has {len(request.prompt_ids)} tokens and the context of {self.base.name!r} is "
                f"{self.base.context}, the reply included: shorten the conversation or use a model with more context"
            )
        self._worker_for(request.run).submit(request)
        return request.future

    def score(
        self, prompt_ids: Sequence[int], completion_ids: Sequence[int], adapter: Adapter | None = None
    ) -> list[float]:
        """Log-probability of each completion token at temperature 1, from one plain forward pass without a cache."""
        return self._workers[0].score(tuple(prompt_ids), tuple(completion_ids), adapter)

    def run(self, job: Callable[[], T]) -> T:
        """Runs `job` in the first worker's thread, between two tokens, and gives its result."""
        return self._workers[0].run(job)

    def close(self) -> None:
        """Stops the threads after the current token; whoever waits gets `GenerationError`."""
        self._closed = True
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join(_CLOSE_S)

    def _worker_for(self, run: str | None) -> Worker:
        """The worker that knows the run's earlier calls, or the one with least to do."""
        if len(self._workers) == 1:
            return self._workers[0]
        with self._placing:
            home = self._homes.pop(run, None) if run is not None else None
            loads = {worker: worker.running + worker.waiting for worker in self._workers}
            chosen = min(self._workers, key=loads.__getitem__)
            if home is not None and loads[home] < loads[chosen] + _UNEVEN:
                chosen = home
            if run is not None:
                self._homes[run] = chosen
                if len(self._homes) > _HOMES:
                    self._homes.popitem(last=False)
            return chosen


def _workers_for(base: Base) -> int:
    if _CORES == 1 or decoder_of(base.model) is None or base.model.get_memory_footprint() > _SMALL_BYTES:
        return 1
    return min(int(_CORES), _MOST_WORKERS)


_engines: dict[tuple[Base, bool], Engine] = {}
_open: "weakref.WeakSet[Engine]" = weakref.WeakSet()
_making = threading.Lock()


def engine_of(base: Base, *, deterministic: bool = False) -> Engine:
    """The engine that this process shares for `base`, so that all calls on one base meet in one batch.

    Deterministic calls have an engine of their own.
    """
    with _making:
        engine = _engines.get((base, deterministic))
        if engine is None or engine._closed:
            engine = _engines[base, deterministic] = Engine(base, deterministic=deterministic)
        return engine


@atexit.register
def _close_all() -> None:
    # A daemon thread that is still inside torch while the interpreter shuts down can crash it.
    for engine in list(_open):
        engine.close()
