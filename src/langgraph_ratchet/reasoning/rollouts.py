"""Runs the reasoning graph on many questions at once, each run recorded as one trace, and none with effects."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from langgraph_ratchet.core.errors import StoreError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.reruns import Recordings, again
from langgraph_ratchet.tools.replay import ToolReplay
from langgraph_ratchet.traces.store import TraceStore

Reasoner = CompiledStateGraph[Any, Context, Any, Any]


@dataclass(frozen=True)
class Rollout:
    """One run that is wanted. The trace id is its identity: a rollout whose trace is stored is not run again."""

    question: Question
    trace_id: str
    temperature: float
    seed: int


def roll_out(
    reasoner: Reasoner,
    store: TraceStore,
    wanted: Sequence[Rollout],
    *,
    replay: ToolReplay | None = None,
    concurrency: int = 64,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> list[Trace]:
    """The traces of `wanted`, in its order; those that the store does not hold yet are run.

    Tools that declare effects are not called: recordings answer for them, and a call that has none ends its run with
    the outcome `not_recorded`.

    A local model gathers the calls of concurrent runs into batches, so concurrency is also its batch size. Ctrl-C
    stops each run after its call in flight; what has finished is in the store, and the same `wanted` goes on from
    there.

    Args:
        reasoner: a compiled reasoning graph that records into `store`.
        store: the trace store.
        wanted: rollouts, with ids that differ.
        replay: answers for tools with effects; by default what the store has recorded by now.
        concurrency: runs at a time.
        on_done: told how many are done, and of how many.

    Returns:
        One trace for each rollout.

    Raises:
        StoreError: a run could not be recorded. The others stop after their call in flight; the same `wanted` goes on
            when the store can be written to again.
    """
    ids = [rollout.trace_id for rollout in wanted]
    finished = store.finished(ids)
    todo = [rollout for rollout in wanted if rollout.trace_id not in finished]
    done = len(wanted) - len(todo)
    on_done(done, len(wanted))
    stopping, recordings = Event(), Recordings(store, replay)
    with ThreadPoolExecutor(concurrency, thread_name_prefix="ratchet-rollout") as pool:
        try:
            running: set[Future[None]] = {
                pool.submit(_run, reasoner, store, rollout, recordings, stopping) for rollout in todo
            }
            while running:
                # A time limit, so that Ctrl-C is noticed while every run waits for the model.
                ready, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in ready:
                    future.result()
                done += len(ready)
                if ready:
                    on_done(done, len(wanted))
        except BaseException:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return store.find_traces(ids)


def _run(reasoner: Reasoner, store: TraceStore, rollout: Rollout, recordings: Recordings, stopping: Event) -> None:
    context = Context(temperature=rollout.temperature, seed=rollout.seed, trace_id=rollout.trace_id)
    given = {"question": rollout.question.model_dump(mode="json")}
    with again(recordings, rollout.question.id):
        for _ in reasoner.stream(given, context=context, stream_mode="updates"):
            if stopping.is_set():
                return
    if not store.finished([rollout.trace_id]):  # the recorder never stops a run, but here runs are all that is wanted
        raise StoreError(
            f"a run could not be recorded in {store.url} (the log says why): see that the disk has room and the file "
            "may be written, then go on with --resume; what was recorded before is kept"
        )
