"""Killed, forked and many at once: no acknowledged call is lost or doubled."""

import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable

import pytest

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.traces.recorder import Recorder
from langgraph_ratchet.traces.store import TraceStore

pytestmark = pytest.mark.slow

Fork = Callable[[Callable[[], None]], int]
CALLS_PER_RUN = 4


def check_integrity(url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def record_runs(
    recorder: Recorder,
    name: str,
    runs: range,
    make_call: Callable[..., Call],
    make_trace: Callable[..., Trace],
    acknowledge: Callable[[str], object] = lambda line: None,
) -> None:
    for number in runs:
        run_id = f"run_{name}_{number}"
        recorder.start(run_id, Question(text="?"), "scripted", 0.0)
        calls = []
        for index in range(CALLS_PER_RUN):
            # Every execution draws its own id, as the graph does.
            calls.append(recorder.call(make_call(run_id, index, id=f"call_{os.urandom(8).hex()}")))
            acknowledge(f"{run_id} {calls[-1].id}")
        recorder.finish(make_trace(run_id, calls=tuple(calls)))
        acknowledge(run_id)


@pytest.mark.parametrize("trial", range(10))
def test_a_killed_process_loses_and_doubles_nothing(
    trial: int, url: str, fork: Fork, make_call: Callable[..., Call], make_trace: Callable[..., Trace]
) -> None:
    reading, writing = os.pipe()

    def child() -> None:
        record_runs(
            Recorder(TraceStore(url)),
            "a",
            range(10_000),
            make_call,
            make_trace,
            lambda line: os.write(writing, f"{line}\n".encode()),
        )

    process = fork(child)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        first = pipe.readline()  # it has begun; the kill then comes at a random moment
        time.sleep(random.uniform(0, 0.25))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        # The last line may be cut by the kill; then it was not acknowledged.
        lines = [line.split() for line in (first + pipe.read()).splitlines(keepends=True) if line.endswith("\n")]
    acknowledged_calls = [(line[0], line[1]) for line in lines if len(line) == 2]
    acknowledged_traces = [line[0] for line in lines if len(line) == 1]
    assert acknowledged_calls

    check_integrity(url)
    store = TraceStore(url)
    for run_id in {run_id for run_id, _ in acknowledged_calls}:
        stored = [call.id for call in store.calls(run_id)]
        expected = [id_ for run, id_ in acknowledged_calls if run == run_id]
        assert stored[: len(expected)] == expected
        assert len(stored) <= CALLS_PER_RUN
    assert {summary.id for summary in store.traces(limit=None)} >= set(acknowledged_traces)

    # A resumed process makes the same calls again: nothing is doubled, and every trace is whole.
    recorder = Recorder(store)
    done = range(len(acknowledged_traces) + 1)
    record_runs(recorder, "a", done, make_call, make_trace)
    assert recorder.lost == 0
    for number in done:
        keys = [(call.key.index, call.key.attempt) for call in store.trace(f"run_a_{number}").calls]
        assert keys == [(index, 1) for index in range(CALLS_PER_RUN)]
        assert len(store.calls(f"run_a_{number}")) == CALLS_PER_RUN
    assert all(
        (run_id, id_) in {(c.key.run_id, c.id) for c in store.calls(run_id)} for run_id, id_ in acknowledged_calls
    )
    store.close()


def test_four_writers_at_once_lose_nothing(
    url: str,
    fork: Fork,
    exit_status: Callable[[int], int],
    make_call: Callable[..., Call],
    make_trace: Callable[..., Trace],
) -> None:
    def child(name: str) -> None:
        recorder = Recorder(TraceStore(url))  # all four make the file, too
        record_runs(recorder, name, range(10), make_call, make_trace)
        assert recorder.lost == 0

    children = [fork(lambda name=name: child(name)) for name in "abcd"]
    assert [exit_status(process) for process in children] == [0] * 4
    check_integrity(url)
    store = TraceStore(url)
    assert len(store.traces(limit=None)) == 40
    for name in "abcd":
        for number in range(10):
            assert len(store.trace(f"run_{name}_{number}").calls) == CALLS_PER_RUN
    store.close()


def test_writers_of_one_key_get_an_attempt_each(
    url: str, fork: Fork, exit_status: Callable[[int], int], make_call: Callable[..., Call]
) -> None:
    TraceStore(url).begin("run_1", Question(text="?"), "scripted", 0.0)

    def child(name: str) -> None:
        store = TraceStore(url)
        for index in range(10):
            store.add_call(make_call(index=index, id=f"call_{name}_{index}", reply={"content": name}))

    assert [exit_status(process) for process in [fork(lambda name=name: child(name)) for name in "abcd"]] == [0] * 4
    store = TraceStore(url)
    keys = sorted((call.key.index, call.key.attempt) for call in store.calls("run_1"))
    assert keys == [(index, attempt) for index in range(10) for attempt in (1, 2, 3, 4)]
    store.close()


def test_a_forked_process_goes_on_with_a_connection_of_its_own(
    url: str,
    fork: Fork,
    exit_status: Callable[[int], int],
    make_call: Callable[..., Call],
    make_trace: Callable[..., Trace],
) -> None:
    recorder = Recorder(TraceStore(url))
    record_runs(recorder, "parent", range(2), make_call, make_trace)

    locked, forked = threading.Event(), threading.Event()

    def hold_the_lock() -> None:  # as a thread that writes just then does; in the child it does not exist
        with recorder.store._database._lock:
            locked.set()
            forked.wait()

    def child() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        record_runs(recorder, "child", range(10), make_call, make_trace)
        assert recorder.lost == 0
        recorder.store.close()

    other = threading.Thread(target=hold_the_lock)
    other.start()
    locked.wait()
    process = fork(child)
    forked.set()
    other.join()
    record_runs(recorder, "parent", range(2, 12), make_call, make_trace)
    assert exit_status(process) == 0
    assert recorder.lost == 0
    assert len(recorder.store.traces(limit=None)) == 22
    recorder.store.close()
    check_integrity(url)
