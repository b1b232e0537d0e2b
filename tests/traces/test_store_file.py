"""The file of the trace store: its address, its version, and what waits for the disk."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import BadInputError, SchemaVersionError, StoreError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.traces import database
from langgraph_ratchet.traces.store import TraceStore

MakeCall = Callable[..., Call]
MakeTrace = Callable[..., Trace]


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.mark.parametrize("address", ["runs.db", "postgresql://host/db", "sqlite:///", "sqlite://runs.db", ""])
def test_an_address_that_cannot_be_used_is_refused_at_once(address: str) -> None:
    with pytest.raises(BadInputError, match="sqlite:///runs.db"):
        TraceStore(address)


def test_tables_of_another_version_are_refused(url: str, store: TraceStore, question: Question) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    store.close()
    with sqlite3.connect(path_of(url)) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    for use in (lambda: TraceStore(url).calls("run_1"), lambda: TraceStore(url).begin("run_2", question, "m", 0.0)):
        with pytest.raises(SchemaVersionError, match="trace store has schema version 99.* reads 1: upgrade"):
            use()


def test_a_noun_of_another_version_is_refused_by_its_version_and_not_by_its_fields(
    url: str, store: TraceStore, question: Question, make_call: MakeCall
) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    store.add_call(make_call())
    with sqlite3.connect(path_of(url)) as connection:
        connection.execute("""UPDATE calls SET body = json_set(body, '$.schema_version', 99, '$.new_field', 1)""")
    connection.close()
    with pytest.raises(SchemaVersionError, match="Call has schema version 99, .* reads 2"):
        store.calls("run_1")


def test_a_database_of_something_else_is_left_alone(url: str, store: TraceStore, question: Question) -> None:
    path_of(url).parent.mkdir()
    with sqlite3.connect(path_of(url)) as connection:
        connection.execute("CREATE TABLE checkpoints (id)")
    connection.close()
    with pytest.raises(StoreError, match="not a trace store .its tables: checkpoints.*file of its own"):
        store.begin("run_1", question, "scripted", 0.0)
    with sqlite3.connect(path_of(url)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("checkpoints",)]
    connection.close()


def test_a_closed_store_says_so(store: TraceStore, question: Question) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.begin("run_2", question, "scripted", 0.0)


def test_only_finishing_a_run_waits_for_the_disk_and_that_once_a_second(
    store: TraceStore,
    question: Question,
    make_call: MakeCall,
    make_trace: MakeTrace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    statements: list[str] = []
    for number in range(4):
        store.begin(f"run_{number}", question, "scripted", 0.0)
    connection = store._database._engine.raw_connection()
    connection.driver_connection.set_trace_callback(statements.append)
    connection.close()

    def levels() -> list[str]:
        found = [text.rpartition("=")[2] for text in statements if text.startswith("PRAGMA synchronous=")]
        assert len(found) == statements.count("COMMIT")
        statements.clear()
        return found

    call = store.add_call(make_call())
    store.add_step("run_1", "task", 0, Step(number=1, description="d", call_id=call.id))
    assert levels() == ["NORMAL", "NORMAL"]
    store.finish(make_trace(calls=(call,)))
    assert levels() == ["FULL"]
    assert store.calls("run_1") == [call]
    store.finish(make_trace("run_2"))
    assert levels() == ["NORMAL", "NORMAL"]
    monkeypatch.setattr(database, "_DURABLE_EVERY_SECONDS", 0.0)
    store.finish(make_trace("run_3"))
    assert levels() == ["FULL"]


def test_grades_are_stored_all_or_none(store: TraceStore, question: Question, make_trace: MakeTrace) -> None:
    def grade(run_id: str | None, score: float) -> Grade:
        return Grade(trace_id=run_id, grader="exact@1", score=score, strict=None, lenient=None, reason="")

    for run_id in ("run_1", "run_2"):
        store.begin(run_id, question, "scripted", 0.0)
        store.finish(make_trace(run_id))
    store.add_grades([])
    with pytest.raises(StoreError):
        store.add_grades([grade("run_1", 0.0), grade("run_unknown", 0.0)])
    with pytest.raises(BadInputError):
        store.add_grades([grade("run_1", 0.0), grade(None, 0.0)])
    assert store.grades("run_1") == []
    store.add_grades([grade("run_1", 0.25), grade("run_2", 0.5)])
    store.add_grades([grade("run_1", 1.0)])
    assert (store.grades("run_1"), store.grades("run_2")) == ([grade("run_1", 1.0)], [grade("run_2", 0.5)])
