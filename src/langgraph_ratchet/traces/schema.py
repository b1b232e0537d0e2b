"""Tables of the trace store. Bodies are the nouns' own JSON; columns beside them are only what is searched by."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.sqlite import Insert, insert

VERSION = 1
"""Version of the tables. It goes up when they change; the bodies carry versions of their own."""

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))

# `seq` orders by writing. Clocks jump, so nothing is ordered by time.

runs = Table(
    "runs",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("lost", Boolean, nullable=False, default=False),
    Column("body", Text, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("task_id", String, nullable=False),
    Column("index", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("run_id", "task_id", "index", "attempt"),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("task_id", String, nullable=False),
    Column("index", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "task_id", "index"),
    sqlite_with_rowid=False,  # one tree to write instead of two
)

traces = Table(
    "traces",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", ForeignKey("runs.id"), nullable=False, unique=True),
    Column("question_id", String, nullable=False, index=True),
    Column("outcome", String, nullable=False, index=True),
    Column("call_ids", Text, nullable=False),
    Column("body", Text, nullable=False),
)

grades = Table(
    "grades",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("trace_id", ForeignKey("traces.id"), nullable=False),
    Column("grader", String, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("trace_id", "grader"),
)


def upsert(table: Table, key: tuple[str, ...]) -> Insert:
    """A statement that inserts a row, or replaces what is not its `key` in the row that has the same one."""
    statement = insert(table)
    replaced = {name: statement.excluded[name] for name in ("number", "body") if name in table.c}
    return statement.on_conflict_do_update(index_elements=list(key), set_=replaced)
