"""The trace store as a doctor sees it: of a version this code reads, and whole by SQLite's own check."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from langgraph_ratchet.core.errors import SchemaVersionError
from langgraph_ratchet.core.finding import Finding, State
from langgraph_ratchet.traces import schema

_RESTORE = "restore the file from a backup, or move it away: the next run starts a new one"


def check_store(path: Path, *, whole: bool = True) -> Finding:
    """Reads the store without changing it.

    Args:
        path: the SQLite file.
        whole: run SQLite's `quick_check` too. It reads the whole file.
    """
    facts: dict[str, Any] = {"path": str(path), "traces": None, "schema_version": None, "quick_check": None}
    if not path.exists():
        return Finding("store", "traces", State.OK, f"{path}: nothing recorded yet", None, facts)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)) as connection:
            (facts["schema_version"],) = connection.execute("SELECT version FROM schema_version").fetchone()
            if facts["schema_version"] != schema.VERSION:
                error = SchemaVersionError("trace store", facts["schema_version"], schema.VERSION)
                return Finding("store", "traces", State.BROKEN, f"{path}: {error}", _RESTORE, facts)
            (facts["traces"],) = connection.execute("SELECT count(*) FROM traces").fetchone()
            if whole:
                facts["quick_check"] = [line for (line,) in connection.execute("PRAGMA quick_check")]
    except (sqlite3.Error, TypeError) as error:
        return Finding("store", "traces", State.BROKEN, f"{path} cannot be read: {error}", _RESTORE, facts)
    if facts["quick_check"] not in (None, ["ok"]):
        return Finding("store", "traces", State.BROKEN, f"{path}: {facts['quick_check'][0]}", _RESTORE, facts)
    checked = "whole by quick_check" if whole else "not checked with quick_check"
    said = f"{path}: {facts['traces']:,} traces, schema version {facts['schema_version']}, {checked}"
    return Finding("store", "traces", State.OK, said, None, facts)
