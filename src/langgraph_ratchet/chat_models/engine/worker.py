"""One thread of the engine, which generates for all who wait with it, in batches that rows join and leave.

Between two tokens it answers what has finished, lets new rows in, and drops rows that nobody waits for any more.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

import torch

from langgraph_ratchet.chat_models.adapters import Adapter, Adapters
from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine.batches import Batches
from langgraph_ratchet.chat_models.engine.queue import FairQueue
from langgraph_ratchet.chat_models.engine.request import Request
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.chat_models.engine.sampling import check_options
from langgraph_ratchet.core.errors import BadInputError, GenerationError

T = TypeVar("T")

_WINDOW_S = 0.003
"""An idle engine waits this long for one more request before it starts."""


class Worker:
    """Generates with one base model and its adapters. The thread starts with the first request.

    Args:
        base: the base model.
        adapters: the base with adapters applied; nobody else uses them.
        deterministic: see `Engine`.
        max_waiting: requests that may wait; more are refused.
        kv_bytes: see `Engine`.
        one_core: whether torch is to stay on one core in this thread.
    """

    def __init__(
        self,
        base: Base,
        adapters: Adapters,
        *,
        deterministic: bool,
        max_waiting: int,
        kv_bytes: int | None,
        one_core: bool,
    ) -> None:
        self.base = base
        self._one_core = one_core
        self._adapters = adapters
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

    @property
    def running(self) -> int:
        """Requests that are being generated for; another thread may change it at any time."""
        return self._batches.rows

    @property
    def waiting(self) -> int:
        """Requests that wait to be let in; another thread may change it at any time."""
        return len(self._queue)

    def submit(self, request: Request) -> None:
        """Queues a request; cancelling its future drops it.

        Raises:
            BadInputError: see `Engine.submit`.
            OverloadedError: as many requests wait as may.
        """
        check_options(request, self._vocabulary)
        row = Row.of(request, self.base.context)
        with self._changed:
            self._start()
            self._queue.put(row)
            self._changed.notify()
        # Held weakly: a future that held its row would live on with it until the next collection of cycles.
        asked = weakref.ref(row)
        request.future.add_done_callback(lambda future: self._dropped(asked()) if future.cancelled() else None)

    def score(
        self, prompt_ids: tuple[int, ...], completion_ids: tuple[int, ...], adapter: Adapter | None
    ) -> list[float]:
        """See `Engine.score`."""
        return self.run(lambda: self._score(prompt_ids, completion_ids, adapter))

    def run(self, job: Callable[[], T]) -> T:
        """Runs `job` in the thread, between two tokens, and gives its result."""
        future: Future[T] = Future()
        with self._changed:
            self._start()
            self._jobs.append((job, future))
            self._changed.notify()
        return future.result()

    def stop(self) -> None:
        """Lets the thread end after the current token; whoever waits gets `GenerationError`."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Waits until the thread has ended, but no longer than this."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

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
        if self._one_core:
            torch.set_num_threads(1)  # of this thread
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


def _settle(future: "Future[T]", job: Callable[[], T]) -> None:
    try:
        result = job()
    except BaseException as error:
        with suppress(InvalidStateError):
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)
