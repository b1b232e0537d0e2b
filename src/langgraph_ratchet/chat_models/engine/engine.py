"""The engine: one thread that generates for everybody who waits, in one batch that rows join and leave.

Callers put requests into a queue and wait on a future. Between two tokens the thread answers what has finished, lets
new rows in (those with the adapter that is running; others wait until it is done with), and drops rows that nobody
waits for any more. What a row draws depends on its own seed and prompt, never on the rows beside it.
"""

import atexit
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

import torch

from langgraph_ratchet.chat_models.adapters import Adapter, Adapters
from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine.batch import Batch
from langgraph_ratchet.chat_models.engine.request import Completion, Request
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.core.errors import BadInputError, GenerationError
from langgraph_ratchet.core.ids import derive_seed

T = TypeVar("T")

_WINDOW_S = 0.003
"""An idle engine waits this long for one more request before it starts."""
_PATIENCE_S = 0.02
"""A running engine lets a few requests gather before it interrupts the batch for them, but not for longer."""
_CLOSE_S = 10.0


class Engine:
    """Generates with one base model and its adapters. The thread starts with the first request.

    Args:
        base: the base model.
        adapters: the base with adapters applied; made here if it is not given.
        deterministic: whether a row's tokens must not depend on the rows beside it even by rounding (see `Batch`).
    """

    def __init__(self, base: Base, adapters: Adapters | None = None, *, deterministic: bool = False) -> None:
        self.base = base
        self._deterministic = deterministic
        self._adapters = adapters or Adapters(base)
        self._batch = Batch(base, deterministic=deterministic)
        self._waiting: deque[Request] = deque()
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        _open.add(self)

    def submit(self, request: Request) -> "Future[Completion]":
        """Queues a request; its future gives the completion. Cancelling the future drops the request.

        Raises:
            BadInputError: the prompt leaves no room in the model's context, or the engine is closed.
        """
        if len(request.prompt_ids) >= self.base.context:
            raise BadInputError(
                f"the prompt has {len(request.prompt_ids)} tokens and the context of {self.base.name!r} is "
                f"{self.base.context}, the reply included: shorten the conversation or use a model with more context"
            )
        self._put(self._waiting, request)
        return request.future

    def score(
        self, prompt_ids: Sequence[int], completion_ids: Sequence[int], adapter: Adapter | None = None
    ) -> list[float]:
        """Log-probability of each completion token at temperature 1, from one plain forward pass without a cache."""
        return self.run(lambda: self._score(tuple(prompt_ids), tuple(completion_ids), adapter))

    def run(self, job: Callable[[], T]) -> T:
        """Runs `job` in the engine's thread, between two tokens, and gives its result."""
        future: Future[T] = Future()
        self._put(self._jobs, (job, future))
        return future.result()

    def close(self) -> None:
        """Stops the thread after the current token; whoever waits gets `GenerationError`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_S)

    # The rest runs in the engine's thread.

    def _put(self, queue: deque[Any], item: Any) -> None:
        with self._changed:
            if self._closed:
                raise BadInputError("this engine is closed: make a new one")
            queue.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ratchet-engine", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _work(self) -> None:
        if self._deterministic:
            torch.set_num_threads(1)  # of this thread: sums split among threads round differently
        with torch.inference_mode():
            while self._wait():
                try:
                    self._turn()
                except BaseException as error:  # nobody else would tell those who wait
                    self._fail_rows(error)
        closed = GenerationError("the engine was closed while this call waited: call again")
        self._fail_rows(closed)
        for future in (*(request.future for request in self._waiting), *(future for _, future in self._jobs)):
            _fail(future, closed)

    def _wait(self) -> bool:
        """Waits for something to do; false when the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._batch.rows or self._jobs or self._waiting)
            if not self._batch.rows:
                # Go on collecting while new ones keep coming.
                known = 0
                while not self._closed and not self._jobs and known < len(self._waiting) < self._waiting[0].max_batch:
                    known = len(self._waiting)
                    self._changed.wait(_WINDOW_S)
            return not self._closed

    def _turn(self) -> None:
        while self._jobs:
            job, future = self._jobs.popleft()
            _settle(future, job)
        self._batch.drop(lambda row: row.request.future.cancelled())
        if joining := self._joining():
            self._join(joining)
        if self._batch.rows:
            finished = self._batch.step(self._adapters.select(self._batch.adapter))
            self._answer(finished)

    def _joining(self) -> list[Request]:
        """Takes the requests that join now out of the queue, oldest first."""
        with self._changed:
            while self._waiting and self._waiting[0].future.cancelled():
                self._waiting.popleft()
            if not self._waiting:
                return []
            rows = len(self._batch.rows)
            late = time.monotonic() - self._waiting[0].arrived > _PATIENCE_S
            if rows and not late and len(self._waiting) * 4 < rows:
                return []
            # Whoever waits longest decides which adapter runs next, so none starves; all who want the same join.
            adapter = self._waiting[0].adapter
            if rows and adapter != self._batch.adapter:
                return []
            chosen: list[Request] = []
            for request in [waiting for waiting in self._waiting if waiting.adapter == adapter]:
                lengths = [len(item.prompt_ids) + item.max_tokens for item in (*chosen, request)]
                if rows + len(chosen) >= request.max_batch or not self._batch.fits(lengths):
                    break
                chosen.append(request)
                self._waiting.remove(request)
            return chosen

    def _join(self, requests: list[Request]) -> None:
        try:
            model = self._adapters.select(requests[0].adapter)
            rows = [self._row(request) for request in requests if not request.future.cancelled()]
            finished = self._batch.join(model, requests[0].adapter, rows)
        except BaseException as error:
            for request in requests:
                _fail(request.future, error)
            raise
        self._answer(finished)

    def _row(self, request: Request) -> Row:
        seed = request.seed if request.seed is not None else random.getrandbits(63)
        return Row(
            request=request,
            max_tokens=max(1, min(request.max_tokens, self.base.context - len(request.prompt_ids))),
            # Calls that share a seed must not share their luck, so the prompt takes part in the draw.
            draws=random.Random(derive_seed("draw", seed, *request.prompt_ids)),
        )

    def _answer(self, finished: Sequence[Row]) -> None:
        for row in finished:
            with suppress(InvalidStateError):
                row.request.future.set_result(row.completion)

    def _fail_rows(self, error: BaseException) -> None:
        for row in self._batch.forget():
            _fail(row.request.future, error)

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
        _fail(future, error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)


def _fail(future: "Future[Any]", error: BaseException) -> None:
    with suppress(InvalidStateError):
        future.set_exception(error)
