"""The SQLite file under the trace store: opened late, written by many threads and processes, durable once it answers.

A write that returned survives the death of the process, whatever killed it: it is in the write-ahead log, in order.
A power cut never breaks the file, but it takes what the disk does not hold yet. Waiting for the disk takes 1 to
10 ms (`synchronous=FULL`) and covers everything written before, by any process. So a finished run waits, unless this
process waited less than a second ago: a power cut can cost the calls of unfinished runs, and of many runs that finish
at once the last ones.

Write transactions begin with `BEGIN IMMEDIATE`, because a transaction that reads first and writes later fails at
once when another process writes in between, however long the busy timeout is.
"""

import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from langgraph_ratchet.core.errors import BadInputError, SchemaVersionError, StoreError
from langgraph_ratchet.traces import schema

_BUSY_SECONDS = 15.0
"""How long a transaction waits for another process to finish its own."""

_DURABLE_EVERY_SECONDS = 1.0
"""Time between two waits for the disk when durable writes come fast."""

_MEMORY = (":memory:", "sqlite://", "sqlite:///:memory:")

_inherited: list[Engine] = []
"""Engines that a fork brought along. SQLite forbids even closing them in the child, so they are kept, unused."""


class Database:
    """One connection behind a lock: SQLite has one writer at a time, so more of them in a process gain nothing.

    Args:
        url: see `TraceStore`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._path = _path_of(url)
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._engine: Engine | None = None
        self._closed = False
        self._waited_at = -math.inf

    @property
    def exists(self) -> bool:
        """Whether anything was ever written. Reading must not make a file."""
        return self._engine is not None if self._path is None else self._path.exists()

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """A transaction that writes; it stands when the block is left without an error. `durable`: see above.

        Raises:
            StoreError: it could not be written; nothing of it was.
            SchemaVersionError: the tables are of a version that this code does not know.
        """
        wait = durable and time.monotonic() - self._waited_at >= _DURABLE_EVERY_SECONDS
        with self._transaction("BEGIN IMMEDIATE", "FULL" if wait else "NORMAL") as connection:
            yield connection
        if wait:
            self._waited_at = time.monotonic()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the data. Raises like `write`."""
        with self._transaction("BEGIN") as connection:
            yield connection

    def close(self) -> None:
        """Closes the file; what is asked afterwards raises `StoreError`."""
        with self._lock:
            self._closed = True
            if self._engine is not None and self._pid == os.getpid():
                self._engine.dispose()

    @contextmanager
    def _transaction(self, begin: str, synchronous: str = "NORMAL") -> Iterator[Connection]:
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            try:
                with self._open().connect() as connection:
                    connection.execution_options(ratchet_begin=begin, ratchet_synchronous=synchronous)
                    with connection.begin():
                        yield connection
            except IntegrityError as error:
                raise StoreError(
                    f"trace store {self.url} refused a write ({error.orig}): its id is taken, or what it belongs to is "
                    "not stored. Give every call a new id; begin a run before its calls, finish it before its grades"
                ) from error
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                reason = getattr(error, "orig", None) or error
                raise StoreError(
                    f"trace store {self.url} failed: {reason}. Check that the disk has room and the file may be "
                    "written; what was recorded before is kept"
                ) from error

    def _after_fork(self) -> None:
        # The lock may have been held by a thread that does not exist in the child.
        self._lock = threading.RLock()
        if self._engine is not None:
            _inherited.append(self._engine)
        self._engine = None
        self._pid = os.getpid()

    def _open(self) -> Engine:
        if self._closed:
            raise StoreError(f"trace store {self.url} is closed; make a new TraceStore to go on")
        if self._engine is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            engine = _engine_of(self._path)
            try:
                self._prepare(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine = engine
        return self._engine

    def _prepare(self, engine: Engine) -> None:
        """Creates the tables in an empty file, and refuses any other file than a trace store of this version."""
        with engine.connect() as connection:
            connection.execution_options(ratchet_begin="BEGIN IMMEDIATE", ratchet_synchronous="FULL")
            with connection.begin():
                tables = inspect(connection).get_table_names()
                if not tables:
                    schema.metadata.create_all(connection)
                    connection.execute(insert(schema.schema_version).values(version=schema.VERSION))
                    return
                if schema.schema_version.name not in tables:
                    raise StoreError(
                        f"{self.url} is a database but not a trace store (its tables: {', '.join(tables)}); "
                        "give the trace store a file of its own"
                    )
                found = connection.execute(select(schema.schema_version.c.version)).scalar_one()
        if found != schema.VERSION:
            raise SchemaVersionError("trace store", found, schema.VERSION)


def _path_of(url: str) -> Path | None:
    if url in _MEMORY:
        return None
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not path:
        raise BadInputError(f"trace store address {url!r} cannot be used; it must look like 'sqlite:///runs.db'")
    return Path(path)


def _engine_of(path: Path | None) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        _switch_to_wal(connection)
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:  # with isolation_level=None the driver begins nothing by itself
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous={options['ratchet_synchronous']}")
        connection.exec_driver_sql(options["ratchet_begin"])

    return engine


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # The busy timeout does not cover this switch, which needs the file for itself for a moment.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                connection.close()
                raise
            time.sleep(0.01)
