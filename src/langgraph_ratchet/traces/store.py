"""The trace store: every run with its calls, steps, trace and grades, in one SQLite file.

A call is written when it was made, not when its run ends, so a killed process loses no call that was acknowledged.
What a power cut may cost is said in `database`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import orjson
from pydantic_core import to_json
from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import BadInputError, StoreError, UnknownNameError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.traces import schema
from langgraph_ratchet.traces.body import decode, encode
from langgraph_ratchet.traces.database import Database
from langgraph_ratchet.traces.run import Run, TraceSummary
from langgraph_ratchet.traces.schema import upsert

# Built once, because building such a statement takes longer than SQLite takes to run it.
_INSERT_RUN = insert(schema.runs).on_conflict_do_nothing()
_INSERT_CALL = insert(schema.calls).on_conflict_do_nothing()
_INSERT_TRACE = insert(schema.traces).on_conflict_do_nothing()
_UPSERT_STEP = upsert(schema.steps, key=("run_id", "task_id", "index"))
_UPSERT_GRADE = upsert(schema.grades, key=("trace_id", "grader"))
_CALL_IDS = select(schema.calls.c.id).where(schema.calls.c.run_id == bindparam("run"))

_ASKED = 500
"""Ids in one query (SQLite takes a limited number of variables), and traces that are read at a time."""
_LISTED = 10
"""Ids that an error message names."""


class TraceStore:
    """Keeps runs. Threads and processes may share one file; every method may be called from any thread.

    Args:
        url: `sqlite:///path/to/traces.db`, or `:memory:`. The file is made at the first write.

    Every method raises `StoreError` when the file cannot be read or written, and `SchemaVersionError` when it, or
    something in it, was written by a version of langgraph-ratchet whose schema this one does not know.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    @property
    def url(self) -> str:
        """The address it was made with."""
        return self._database.url

    def begin(self, trace_id: str, question: Question, model: str, started_at: float) -> None:
        """Says that a run has begun (at `started_at`, Unix seconds). A run that begins again is no longer lost."""
        run = Run(id=trace_id, question=question, model=model, started_at=started_at)
        row = {"id": run.id, "lost": False, "body": encode(run)}
        with self._database.write() as connection:
            if connection.execute(_INSERT_RUN, row).rowcount == 0:
                lost = (schema.runs.c.id == trace_id) & schema.runs.c.lost
                connection.execute(update(schema.runs).where(lost).values(lost=False))

    def add_call(self, call: Call) -> Call:
        """Stores a call and returns it as stored.

        A call is known by its key. The same key with the same content (id and seconds aside) is the same call
        again, and the stored one is returned. With other content it is a further attempt, of a node that was run
        again: it gets the next free attempt number.

        Raises:
            StoreError: the run was never begun, or the call could not be written.
        """
        body = encode(call)
        call = decode(Call, body)
        with self._database.write() as connection:
            return call if _insert_call(connection, call, body) else _resolve_conflict(connection, call)

    def add_step(self, run_id: str, task_id: str, index: int, step: Step) -> None:
        """Stores a step of a run that has begun; a node that is run again replaces the step it wrote before."""
        row = {"run_id": run_id, "task_id": task_id, "index": index, "number": step.number, "body": encode(step)}
        with self._database.write() as connection:
            connection.execute(_UPSERT_STEP, row)

    def finish(self, trace: Trace) -> None:
        """Stores a run's trace, once: a second trace of the same run is ignored.

        Raises:
            StoreError: one of its calls is not stored (then the trace would be a lie), or it could not be written.
        """
        call_ids = [call.id for call in trace.calls]
        row = {
            "id": trace.id,
            "question_id": trace.question.id,
            "outcome": trace.outcome.value,
            "call_ids": orjson.dumps(call_ids).decode(),
            "body": encode(trace, without=frozenset({"calls"})),
        }
        with self._database.write(durable=True) as connection:
            if missing := set(call_ids).difference(connection.execute(_CALL_IDS, {"run": trace.id}).scalars()):
                raise StoreError(f"trace {trace.id} lists {len(missing)} calls that are not stored; it was not written")
            connection.execute(_INSERT_TRACE, row)

    def mark_lost(self, run_id: str) -> None:
        """Says that a run will never have a trace, because part of it could not be stored."""
        with self._database.write() as connection:
            connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(lost=True))

    def trace(self, id_or_prefix: str) -> Trace:
        """The trace with this id, or the only one whose id begins so.

        Raises:
            UnknownNameError: there is none, or more than one.
        """
        table = schema.traces
        if not self._database.exists:
            raise UnknownNameError("trace", id_or_prefix, [])
        with self._database.read() as connection:
            begins_so = func.substr(table.c.id, 1, len(id_or_prefix)) == id_or_prefix
            found = connection.execute(select(table).where(begins_so).limit(_LISTED)).all()
            rows = [row for row in found if row.id == id_or_prefix] or found
            if len(rows) == 1 and id_or_prefix:
                (row,) = rows
                call_ids = orjson.loads(row.call_ids)
                bodies = _call_bodies(connection, row.id)
                calls = ",".join(bodies[call_id] for call_id in call_ids)
                return decode(Trace, f'{row.body[:-1]},"calls":[{calls}]}}')
            known = [row.id for row in rows] or _newest(connection)
        hint = "More than one begins so: give more of the id" if rows else "The newest are listed"
        raise UnknownNameError("trace", id_or_prefix, known, hint)

    def finished(self, ids: Sequence[str]) -> set[str]:
        """Those of `ids` that have a trace."""
        table = schema.traces
        chunks = (select(table.c.id).where(table.c.id.in_(ids[at : at + _ASKED])) for at in range(0, len(ids), _ASKED))
        return {row.id for query in chunks for row in self._rows(query)}

    def find_traces(self, ids: Sequence[str]) -> list[Trace]:
        """The traces with these ids that are stored, in the order of `ids`."""
        found = self.finished(ids)
        return [self.trace(id_) for id_ in ids if id_ in found]

    def traces(
        self,
        *,
        limit: int | None,
        outcome: Outcome | None = None,
        question_id: str | None = None,
        newest_first: bool = True,
    ) -> list[TraceSummary]:
        """Summaries of stored traces, in the order they were finished, at most `limit` (`None`: all)."""
        table = schema.traces
        query = select(table.c.call_ids, table.c.body).limit(limit)
        query = query.order_by(table.c.seq.desc() if newest_first else table.c.seq)
        if outcome is not None:
            query = query.where(table.c.outcome == outcome.value)
        if question_id is not None:
            query = query.where(table.c.question_id == question_id)
        return [_summary(row.body, len(orjson.loads(row.call_ids))) for row in self._rows(query)]

    def traces_using(self, tools: Collection[str]) -> Iterator[Trace]:
        """Traces, without their calls, of runs that called one of these tools; in the order they were finished."""
        table, last = schema.traces, -1
        named = [func.instr(table.c.body, f'"tool":{to_json(name).decode()}') > 0 for name in sorted(tools)]
        query = select(table.c.seq, table.c.body).where(or_(False, *named)).order_by(table.c.seq).limit(_ASKED)
        while rows := self._rows(query.where(table.c.seq > last)):  # in parts, since they may be many
            yield from (_without_calls(row.body) for row in rows)
            last = rows[-1].seq

    def calls(self, run_id: str) -> list[Call]:
        """Every call of a run, superseded ones included, in the order they were stored."""
        query = select(schema.calls.c.body).where(schema.calls.c.run_id == run_id).order_by(schema.calls.c.seq)
        return [decode(Call, row.body) for row in self._rows(query)]

    def find_calls(self, ids: Sequence[str]) -> list[Call]:
        """The calls with these ids that are stored, in the order they were stored."""
        query = select(schema.calls.c.body).where(schema.calls.c.id.in_(ids)).order_by(schema.calls.c.seq)
        return [decode(Call, row.body) for row in self._rows(query)]

    def superseded(self, run_id: str) -> list[Call]:
        """Calls of a finished run that its trace does not list: what a crash or a retry left behind."""
        rows = self._rows(select(schema.traces.c.call_ids).where(schema.traces.c.id == run_id))
        if not rows:
            return []
        listed = set(orjson.loads(rows[0].call_ids))
        return [call for call in self.calls(run_id) if call.id not in listed]

    def steps(self, run_id: str) -> list[Step]:
        """The steps that a run stored as it went, in order of their number."""
        table = schema.steps
        query = select(table.c.body).where(table.c.run_id == run_id).order_by(table.c.number, table.c.index)
        return [decode(Step, row.body) for row in self._rows(query)]

    def open_runs(self) -> list[Run]:
        """Runs that have begun, have no trace and are not lost: still going, or interrupted. Oldest first."""
        finished = select(schema.traces.c.id)
        query = select(schema.runs.c.body).where(~schema.runs.c.lost, schema.runs.c.id.not_in(finished))
        return [decode(Run, row.body) for row in self._rows(query.order_by(schema.runs.c.seq))]

    def add_grade(self, grade: Grade) -> None:
        """`add_grades` of one."""
        self.add_grades([grade])

    def add_grades(self, grades: Sequence[Grade]) -> None:
        """Stores grades of stored traces, all or none; a grader grading again replaces what it said before.

        Raises:
            BadInputError: a grade belongs to no trace.
            StoreError: a trace is not stored.
        """
        if any(grade.trace_id is None for grade in grades):
            raise BadInputError("a grade without a trace id cannot be stored; grade(..., trace_id=...) gives it one")
        rows = [{"trace_id": grade.trace_id, "grader": grade.grader, "body": encode(grade)} for grade in grades]
        if rows:
            with self._database.write() as connection:
                connection.execute(_UPSERT_GRADE, rows)

    def grades(self, trace_id: str) -> list[Grade]:
        """Grades of a trace, in the order of their first writing."""
        query = select(schema.grades.c.body).where(schema.grades.c.trace_id == trace_id).order_by(schema.grades.c.seq)
        return [decode(Grade, row.body) for row in self._rows(query)]

    def close(self) -> None:
        """Closes the file; using the store afterwards raises `StoreError`."""
        self._database.close()

    def _rows(self, query: Any) -> Sequence[Any]:
        if not self._database.exists:
            return []
        with self._database.read() as connection:
            return connection.execute(query).all()


def _insert_call(connection: Connection, call: Call, body: str) -> bool:
    """Writes the call unless its key or its id is taken; says whether it did."""
    return connection.execute(_INSERT_CALL, {"id": call.id, **call.key.model_dump(), "body": body}).rowcount == 1


def _resolve_conflict(connection: Connection, call: Call) -> Call:
    """The stored call if it is the same, else `call` stored under the first free attempt from its own on."""
    table, key = schema.calls, call.key
    same_place = (table.c.run_id == key.run_id) & (table.c.task_id == key.task_id) & (table.c.index == key.index)
    rows = connection.execute(select(table.c.body).where(same_place, table.c.attempt >= key.attempt)).scalars()
    stored = [decode(Call, body) for body in rows]
    for other in stored:
        if _content(other) == _content(call):
            return other
    taken = {other.key.attempt for other in stored}
    attempt = next(number for number in range(key.attempt, key.attempt + len(taken) + 1) if number not in taken)
    own_id = call.id if call.id not in {other.id for other in stored} else new_id("call")
    further = call.model_copy(update={"id": own_id, "key": key.model_copy(update={"attempt": attempt})})
    if not _insert_call(connection, further, encode(further)):
        raise StoreError(f"call id {call.id} is taken by another call; give every call a new id")
    return further


def _content(call: Call) -> str:
    return call.model_dump_json(exclude={"id": True, "seconds": True, "key": {"attempt"}})


def _call_bodies(connection: Connection, run_id: str) -> dict[str, str]:
    """Bodies of a run's calls by id."""
    query = select(schema.calls.c.id, schema.calls.c.body).where(schema.calls.c.run_id == run_id)
    return {row.id: row.body for row in connection.execute(query)}


def _newest(connection: Connection) -> Iterable[str]:
    query = select(schema.traces.c.id).order_by(schema.traces.c.seq.desc()).limit(_LISTED)
    return connection.execute(query).scalars().all()


def _without_calls(body: str) -> Trace:
    return decode(Trace, f'{body[:-1]},"calls":[]}}')


def _summary(body: str, calls: int) -> TraceSummary:
    trace = _without_calls(body)
    return TraceSummary(
        id=trace.id,
        question_id=trace.question.id,
        question=trace.question.text,
        type=trace.question.type,
        model=trace.model,
        model_version=trace.model_version,
        strategy=trace.strategy,
        outcome=trace.outcome,
        answer=trace.answer,
        confidence=trace.confidence,
        calls=calls,
        tool_calls=trace.tool_calls,
        started_at=trace.started_at,
        seconds=trace.seconds,
    )
