"""The engine: one thread that generates for everybody who waits, in batches that rows join and leave.

Callers put requests into a queue and wait on a future. Between two tokens the thread answers what has finished, lets
new rows in, and drops rows that nobody waits for any more. What a row draws depends on its own seed and prompt, never
on the rows beside it.
"""

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

import torch

from langgraph_ratchet.chat_models.adapters import Adapter, Adapters
from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine.batches import Batches
from langgraph_ratchet.chat_models.engine.queue import MAX_WAITING, FairQueue
from langgraph_ratchet.chat_models.engine.request import Completion, Request
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.chat_models.engine.sampling import check_options
from langgraph_ratchet.core.errors import BadInputError, GenerationError

T = TypeVar("T")

_WINDOW_S = 0.003
"""An idle engine waits this long for one more request before it starts."""
_CLOSE_S = 10.0


class Engine:
    """Generates with one base model and its adapters. The thread starts with the first request.

    Args:
        base: the base model.
        adapters: the base with adapters applied; made here if it is not given.
        deterministic: whether a row's tokens must not depend on the rows beside it even by rounding (see `Batch`).
        max_waiting: requests that may wait; more are refused.
        kv_bytes: memory that keys and values may take; `None` takes a share of what is free, asked anew as rows join.
    """

    def __init__(
        self,
        base: Base,
        adapters: Adapters | None = None,
        *,
        deterministic: bool = False,
        max_waiting: int = MAX_WAITING,
        kv_bytes: int | None = None,
    ) -> None:
        self.base = base
        self._deterministic = deterministic
        self._adapters = adapters or Adapters(base)
        self._vocabulary = int(base.model.config.get_text_config().vocab_size)
        self._changed = threading.Condition()
        self._queue = FairQueue(max_waiting, f"the model {base.name!r}")
        self._batches = Batches(
            base, self._adapters, self._queue, self._changed, deterministic=deterministic, kv_bytes=kv_bytes
        )
        self._cancelled = False
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False
        _open.add(self)

    @property
    def running(self) -> int:
        """Requests that are being generated for; another thread may change it at any time."""
        return self._batches.rows

    @property
    def waiting(self) -> int:
        """Requests that wait to be let in; another thread may change it at any time."""
        return len(self._queue)

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
        check_options(request, self._vocabulary)
        row = Row.of(request, self.base.context)
        with self._changed:
            self._start()
            self._queue.put(row)
            self._changed.notify()
        # Held weakly: a future that held its row would live on with it until the next collection of cycles.
        asked = weakref.ref(row)
        request.future.add_done_callback(lambda future: self._dropped(asked()) if future.cancelled() else None)
        return request.future

    def score(
        self, prompt_ids: Sequence[int], completion_ids: Sequence[int], adapter: Adapter | None = None
    ) -> list[float]:
        """Log-probability of each completion token at temperature 1, from one plain forward pass without a cache."""
        return self.run(lambda: self._score(tuple(prompt_ids), tuple(completion_ids), adapter))

    def run(self, job: Callable[[], T]) -> T:
        """Runs `job` in the engine's thread, between two tokens, and gives its result."""
        future: Future[T] = Future()
        with self._changed:
            self._start()
            self._jobs.append((job, future))
            self._changed.notify()
        return future.result()

    def close(self) -> None:
        """Stops the thread after the current token; whoever waits gets `GenerationError`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_S)

    def _start(self) -> None:
        """Starts the thread with the first that is asked of it."""
        if self._closed:
            raise BadInputError("this engine is closed: make a new one")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ratchet-engine", daemon=True)
            self._thread.start()

    def _dropped(self, row: Row | None) -> None:
        """Called in the thread that has cancelled a request."""
        with self._changed:
            if row is not None and not self._queue.discard(row):
                self._cancelled = True

    # The rest runs in the engine's thread.

    def _work(self) -> None:
        if self._deterministic:
            torch.set_num_threads(1)  # of this thread: sums split among threads round differently
        with torch.inference_mode():
            while self._wait():
                try:
                    self._turn()
                except BaseException as error:  # nobody else would tell those who wait
                    self._fail_all("the engine failed", error)
        self._fail_all("the engine was closed while this call waited: call again")

    def _wait(self) -> bool:
        """Waits for something to do; false when the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._jobs or len(self._queue) or self._batches.rows)
            if not self._batches.rows:
                # Go on collecting while new ones keep coming.
                known = 0
                while not self._closed and not self._jobs and (first := self._queue.first()) is not None:
                    if not known < len(self._queue) < first.request.max_batch:
                        break
                    known = len(self._queue)
                    self._changed.wait(_WINDOW_S)
            return not self._closed

    def _turn(self) -> None:
        while self._jobs:
            job, future = self._jobs.popleft()
            _settle(future, job)
        if self._cancelled:
            self._cancelled = False
            self._batches.drop_cancelled()
        self._batches.turn()

    def _fail_all(self, what: str, error: BaseException | None = None) -> None:
        """Tells everybody who waits."""
        self._batches.fail(what, error)
        with self._changed:
            rows = self._queue.clear()
            jobs = list(self._jobs)
            self._jobs.clear()
        for row in rows:
            row.fail(what, error)
            row.answer()
        for _, future in jobs:
            with suppress(InvalidStateError):
                failure = GenerationError(what)
                failure.__cause__ = error
                future.set_exception(failure)

    def _score(
        self, prompt_ids: tuple[int, ...], completion_ids: tuple[int, ...], adapter: Adapter | None
    ) -> list[float]:
        model = self._adapters.select(adapter)
        ids = torch.tensor([prompt_ids + completion_ids], device=self.base.model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt_ids) - 1 : -1].float()
        chosen = ids[0, len(prompt_ids) :, None]
        scores: list[float] = logits.log_softmax(-1).gather(1, chosen)[:, 0].tolist()
        return scores


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


def _settle(future: "Future[T]", job: Callable[[], T]) -> None:
    try:
        result = job()
    except BaseException as error:
        with suppress(InvalidStateError):
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)
