"""The recorder never stops a run: what cannot be stored is counted, and its run is marked lost."""

import logging
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import UnknownNameError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.traces import database, recorder
from langgraph_ratchet.traces.recorder import Recorder
from langgraph_ratchet.traces.store import TraceStore

MakeCall = Callable[..., Call]
MakeTrace = Callable[..., Trace]
STEP = Step(number=1, description="d", call_id="c")


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def record_run(question: Question, make_call: MakeCall, make_trace: MakeTrace) -> Callable[..., tuple[Call, ...]]:
    """Records a run of two calls from start to finish, as the graph does."""

    def run(recorder: Recorder, run_id: str, **fields: Any) -> tuple[Call, ...]:
        recorder.start(run_id, question, "scripted", 0.0)
        ids = [recorder.call(make_call(run_id, index, **fields)).id for index in range(2)]
        recorder.step(run_id, "task", 0, STEP)
        calls = recorder.calls(ids, run_id=run_id)
        recorder.finish(make_trace(run_id, calls=calls))
        return calls

    return run


def test_a_run_is_recorded(store: TraceStore, record_run: Callable[..., tuple[Call, ...]]) -> None:
    recorder = Recorder(store)
    calls = record_run(recorder, "run_1")
    assert len(calls) == 2
    assert store.trace("run_1").calls == calls
    assert store.steps("run_1") == [STEP]
    assert recorder.lost == 0
    assert not recorder.is_lost("run_1")


def test_without_a_store_calls_live_as_long_as_their_run(
    record_run: Callable[..., tuple[Call, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(None)
    calls = record_run(recorder, "run_1")
    assert [call.key.index for call in calls] == [0, 1]
    assert recorder.lost == 0
    assert caplog.records == []
    assert recorder.calls([calls[0].id]) == ()  # the run is over


def test_without_a_store_text_is_cleaned_all_the_same(make_call: MakeCall) -> None:
    recorder = Recorder(None)
    assert recorder.call(make_call(reply={"content": "a\ud800"})).reply == {"content": "a\ufffd"}
    unstorable = make_call(reply={"content": object()})
    assert recorder.call(unstorable) is unstorable


def test_calls_come_in_the_order_that_was_asked_for_and_from_the_store_after_a_restart(
    store: TraceStore, question: Question, make_call: MakeCall
) -> None:
    first = Recorder(store)
    first.start("run_1", question, "scripted", 0.0)
    a, b = (first.call(make_call(index=index)) for index in range(2))
    resumed = Recorder(store)
    c = resumed.call(make_call(index=2))
    assert resumed.calls([c.id, b.id, a.id], run_id="run_1") == (c, b, a)
    assert not resumed.is_lost("run_1")


def test_a_call_that_is_gone_makes_its_run_lost(store: TraceStore, make_call: MakeCall, make_trace: MakeTrace) -> None:
    recorder = Recorder(store)
    recorder.start("run_1", Question(text="?"), "scripted", 0.0)
    here = recorder.call(make_call())
    assert recorder.calls([here.id, "call_gone"], run_id="run_1") == (here,)
    assert recorder.is_lost("run_1")
    recorder.finish(make_trace(calls=(here,)))
    assert store.traces(limit=None) == []
    assert store.open_runs() == []


def closed(url: str) -> TraceStore:
    store = TraceStore(url)
    store.close()
    return store


def in_a_folder_that_is_a_file(url: str) -> TraceStore:
    path_of(url).parent.write_text("a file")
    return TraceStore(url)


def over_garbage(url: str) -> TraceStore:
    path_of(url).parent.mkdir()
    path_of(url).write_bytes(b"not a database, but long enough to look like one" * 100)
    return TraceStore(url)


def of_another_version(url: str) -> TraceStore:
    TraceStore(url).begin("run_0", Question(text="?"), "scripted", 0.0)
    with sqlite3.connect(path_of(url)) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    return TraceStore(url)


@pytest.mark.parametrize("broken", [closed, in_a_folder_that_is_a_file, over_garbage, of_another_version])
def test_a_store_that_fails_does_not_stop_the_run(
    broken: Callable[[str], TraceStore],
    url: str,
    record_run: Callable[..., tuple[Call, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    recorder = Recorder(broken(url))
    assert len(record_run(recorder, "run_1")) == 2
    assert len(record_run(recorder, "run_2")) == 2
    assert recorder.lost == 2
    assert [recorder.is_lost(f"run_{number}") for number in (1, 2, 3)] == [True, True, False]
    (warning,) = caplog.records  # said once, counted each time
    assert "run_1 is not recorded and will not be trained on" in warning.getMessage()


def test_a_call_that_cannot_be_stored_makes_only_its_own_run_lost(
    store: TraceStore, record_run: Callable[..., tuple[Call, ...]]
) -> None:
    recorder = Recorder(store)
    calls = record_run(recorder, "run_1", reply={"content": object()})
    assert len(calls) == 2
    record_run(recorder, "run_2")
    assert (recorder.lost, recorder.is_lost("run_1"), recorder.is_lost("run_2")) == (1, True, False)
    assert [summary.id for summary in store.traces(limit=None)] == ["run_2"]
    assert store.open_runs() == []  # run_1 is marked lost in the store too


def test_a_store_locked_for_too_long_costs_one_wait_and_not_one_for_each_call(
    url: str, record_run: Callable[..., tuple[Call, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.2)
    store = TraceStore(url)
    recorder = Recorder(store)
    record_run(recorder, "run_1")
    waits = []
    monkeypatch.setattr(Recorder, "_lose", lambda self, run_id, error: (waits.append(error), self._lost.add(run_id)))
    other = sqlite3.connect(path_of(url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    record_run(recorder, "run_2")
    other.execute("ROLLBACK")
    other.close()
    record_run(recorder, "run_3")
    assert [str(error) for error in waits if "locked" not in str(error)] == []
    assert len(waits) == 1
    assert [summary.id for summary in store.traces(limit=None)] == ["run_3", "run_1"]
    store.close()


def test_a_full_disk_loses_the_run_at_hand_and_nothing_before_or_after(
    url: str, record_run: Callable[..., tuple[Call, ...]], fork: Callable[[Callable[[], None]], int], exit_status: Any
) -> None:
    def run() -> None:
        recorder = Recorder(TraceStore(url))
        record_run(recorder, "run_1")
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        calls = record_run(recorder, "run_2", messages=({"content": "x" * 400_000},))
        assert len(calls) == 2
        assert (recorder.lost, recorder.is_lost("run_2")) == (1, True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        record_run(recorder, "run_3")
        assert recorder.lost == 1

    assert exit_status(fork(run)) == 0
    store = TraceStore(url)
    assert [summary.id for summary in store.traces(limit=None)] == ["run_3", "run_1"]
    assert len(store.trace("run_1").calls) == len(store.trace("run_3").calls) == 2
    with pytest.raises(UnknownNameError):
        store.trace("run_2")
    store.close()
    with sqlite3.connect(path_of(url)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_runs_that_never_finish_do_not_fill_the_memory(
    store: TraceStore, make_call: MakeCall, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_MAX_OPEN_RUNS", 3)
    for keeper, still_there in ((Recorder(store), True), (Recorder(None), False)):
        ids = []
        for number in range(5):
            keeper.start(f"run_{number}", question, "scripted", 0.0)
            ids.append(keeper.call(make_call(f"run_{number}")).id)
        assert len(keeper._calls) == 3
        assert len(keeper.calls(ids[:1], run_id="run_0")) == still_there
        assert keeper.is_lost("run_0") is not still_there


def test_the_recorder_loads_no_database_library() -> None:
    import subprocess
    import sys

    script = (
        "import sys, langgraph_ratchet.traces.recorder\n"
        "raise SystemExit(bool({'sqlalchemy', 'sqlite3', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
