"""Exchanges as runs: what an app asks through the proxy, kept as the store keeps every run.

A run goes on while its model waits for tools: an exchange that brings their results, known by the ids of the tool
calls, belongs to the run that asked for them. An app that knows better names its runs (`X-Ratchet-Run`). Every other
exchange is a run of its own: the question is the last thing that the user said, the answer is the reply. A run that is
not heard of any more ends after a while.

Nothing here reaches the app: a thread of its own writes, and what cannot be written is counted and said once.
"""

import logging
import queue
import threading
import time
from dataclasses import dataclass, field

from langgraph_ratchet import __version__
from langgraph_ratchet.core.call import Call, Fingerprint
from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.serving.proxy.exchange import Exchange
from langgraph_ratchet.traces.recorder import Recorder
from langgraph_ratchet.traces.store import TraceStore

_WAITING = 1_000
"""Exchanges that wait to be written; further ones are lost."""
_OPEN_RUNS = 10_000
"""Runs that may be open at once; the one that was silent longest ends."""

_log = logging.getLogger(__name__)


@dataclass
class _OpenRun:
    id: str
    name: str | None
    """What the app calls it; then only silence ends it. `None` when it has no name."""
    first: Exchange
    last: Exchange
    heard_at: float
    """Clock time (`time.monotonic`)."""
    calls: list[Call] = field(default_factory=list)
    awaited: list[tuple[str, str]] = field(default_factory=list)
    """Question and id of every tool call that its model asked for. The question too, because some servers count
    tool calls from 0 in every reply."""


class ExchangeRecorder:
    """Records exchanges into a store; `record` may be called from any thread, and never waits.

    Args:
        store: where runs are kept.
        fingerprint: of the model that answers where no version of the registry does; `None` when it is not known, and
            then ids are kept under one that equals no model's, so that nobody trains on them by mistake.
        silence_seconds: how long a run may be silent before it ends.
    """

    def __init__(
        self, store: TraceStore, *, fingerprint: Fingerprint | None = None, silence_seconds: float = 300.0
    ) -> None:
        self._recorder = Recorder(store)
        self._fingerprint = fingerprint
        self._silence_seconds = silence_seconds
        self._look_seconds = min(1.0, silence_seconds)
        self._queue: queue.Queue[Exchange | None] = queue.Queue(_WAITING)
        self._dropped = 0
        self._runs: dict[str, _OpenRun] = {}
        self._named: dict[str, _OpenRun] = {}
        self._awaiting: dict[tuple[str, str], _OpenRun] = {}
        self._thread = threading.Thread(target=self._write, name="ratchet-recording", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Runs and exchanges that could not be recorded."""
        return self._recorder.lost + self._dropped

    def record(self, exchange: Exchange) -> None:
        """Takes an exchange to be written."""
        try:
            self._queue.put_nowait(exchange)
        except queue.Full:
            self._lose(f"{_WAITING} exchanges wait to be written, and no more may")

    def close(self) -> None:
        """Writes what waits, ends every run, and returns when that is done."""
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        looked_at = time.monotonic()
        while (exchange := self._next()) is not None:
            try:
                if isinstance(exchange, Exchange):
                    self._take(exchange)
                if time.monotonic() - looked_at >= self._look_seconds:
                    looked_at = time.monotonic()
                    self._end_silent()
            except Exception as error:  # whatever an app sends and a server answers: the next exchange is recorded
                self._lose(f"{type(error).__name__}: {error}")
        for run in list(self._runs.values()):
            self._end(run)

    def _next(self) -> Exchange | bool | None:
        """The next exchange, `False` when none has come for a while, and `None` at the end."""
        try:
            return self._queue.get(timeout=self._look_seconds)
        except queue.Empty:
            return False

    def _take(self, exchange: Exchange) -> None:
        run = self._run_of(exchange) or self._begin(exchange)
        fingerprint = exchange.version.fingerprint if exchange.version else self._fingerprint
        fingerprint = fingerprint or _unknown(exchange.model)
        run.calls += [self._recorder.call(call) for call in exchange.calls(run.id, len(run.calls), fingerprint)]
        run.last, run.heard_at = exchange, time.monotonic()
        awaited = [(exchange.question, id_) for id_ in exchange.asks_for_tools]
        run.awaited += awaited
        self._awaiting |= dict.fromkeys(awaited, run)
        if run.name is None and (not awaited or exchange.error is not None):
            self._end(run)

    def _run_of(self, exchange: Exchange) -> _OpenRun | None:
        """The open run that the exchange belongs to."""
        if exchange.run is not None:
            return self._named.get(exchange.run)
        asked = (self._awaiting.get((exchange.question, id_)) for id_ in exchange.answers_tools)
        return next((run for run in asked if run is not None), None)

    def _begin(self, exchange: Exchange) -> _OpenRun:
        run = _OpenRun(new_id("trace"), exchange.run, exchange, exchange, time.monotonic())
        self._recorder.start(run.id, Question(text=exchange.question), exchange.model, exchange.started_at)
        self._runs[run.id] = run
        if run.name is not None:
            self._named[run.name] = run
        if len(self._runs) > _OPEN_RUNS:
            self._end(min(self._runs.values(), key=lambda run: run.heard_at))
        return run

    def _end_silent(self) -> None:
        before = time.monotonic() - self._silence_seconds
        for run in [run for run in self._runs.values() if run.heard_at < before]:
            self._end(run)

    def _end(self, run: _OpenRun) -> None:
        del self._runs[run.id]
        if run.name is not None:
            del self._named[run.name]
        for awaited in run.awaited:
            if self._awaiting.get(awaited) is run:
                del self._awaiting[awaited]
        last = run.last
        outcome, error = _outcome(last)
        self._recorder.finish(
            Trace(
                id=run.id,
                question=Question(text=run.first.question),
                model=run.first.model,
                model_version=last.version.id if last.version else None,
                strategy=None,
                plan=(),
                steps=(),
                calls=tuple(run.calls),
                answer=last.answer if outcome is Outcome.ANSWERED else None,
                confidence=None,
                outcome=outcome,
                error=error,
                started_at=run.first.started_at,
                seconds=max(0.0, last.started_at + last.seconds - run.first.started_at),
                code_version=__version__,
            )
        )

    def _lose(self, reason: str) -> None:
        self._dropped += 1
        _log.log(
            logging.WARNING if self._dropped == 1 else logging.DEBUG,
            "an exchange is not recorded: %s. The app is not affected; later losses are counted in /metrics",
            reason,
        )


def _outcome(last: Exchange) -> tuple[Outcome, str | None]:
    """How a run ended whose last exchange is `last`."""
    if last.error is not None:
        return Outcome.MODEL_FAILED, last.error
    if last.asks_for_tools:
        return Outcome.OUT_OF_TIME, "the app did not bring the results of the tools that the model called"
    if last.is_cut:
        return Outcome.OUT_OF_TOKENS, "the reply was as long as it may be"
    if last.answer is None:
        return Outcome.MALFORMED_REPLY, "the reply has no text"
    return Outcome.ANSWERED, None


def _unknown(model: str) -> Fingerprint:
    return Fingerprint(base=f"unknown, served as {model}", tokenizer="unknown", template="unknown")
