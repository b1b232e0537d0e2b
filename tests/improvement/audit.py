"""What an improvement run left, thing by thing: two runs with the same settings must have left the same, each once."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

Items = Counter[str]
"""Names of things, and how often each is there."""


def items(folder: Path) -> Items:
    """Every problem, trace, call, grade, example, training job, evaluation row, version and promotion in `folder`."""
    return Items([*_recorded(folder), *_rounds(folder), *_registered(folder)])


def differences(reference: Items, found: Items) -> tuple[list[str], list[str]]:
    """What is lost, and what is doubled or should not be there at all."""
    return sorted((reference - found).elements()), sorted((found - reference).elements())


def faults(folder: Path) -> list[str]:
    """What must be true of the files at any moment at which no process is at work, however the last one ended."""
    said = []
    for name in ("traces.db", "checkpoints.db"):
        if (folder / name).exists():
            with sqlite3.connect(folder / name) as connection:
                if (checked := connection.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                    said.append(f"{name}: {checked[0]}")
            connection.close()
    registry = Registry(folder / "models")
    for version in registry.versions():
        registry.verify(version.id)
    history = registry.history()
    if [entry.previous for entry in history] != [None, *(entry.version for entry in history)][: len(history)]:
        said.append(f"the champion's history has a gap: {history}")
    return said


def rubbish(folder: Path) -> list[str]:
    """Files that only an unfinished run may have."""
    patterns = ("*.new", "*.partial", ".staging-*", "*unfinished*", "*.checkpoints", "failure.json")
    return sorted(str(path.relative_to(folder)) for pattern in patterns for path in folder.rglob(pattern))


def _recorded(folder: Path) -> list[str]:
    store = TraceStore(f"sqlite:///{folder / 'traces.db'}")
    try:
        found = [f"run {run.id} without a trace" for run in store.open_runs()]
        for summary in store.traces(limit=None):
            found.append(f"trace {summary.id}")
            found += [f"call {place} of {summary.id}" for place, _ in enumerate(store.trace(summary.id).calls)]
            found += [f"grade of {summary.id} by {grade.grader}" for grade in store.grades(summary.id)]
        return found
    finally:
        store.close()


def _rounds(folder: Path) -> list[str]:
    found = []
    for place in sorted(folder.glob("improve/*/round-*")):
        problems = [Problem.model_validate(row) for row in _read(place / "practice.json", [])]
        found += [f"problem {problem.id} of {place.name}" for problem in problems]
        for name in ("baseline.json", "candidate.json"):
            if (place / name).exists():
                report = Report.model_validate_json((place / name).read_bytes())
                found += [f"row {row.problem_id} {row.answer!r} of {place.name}/{name}" for row in report.rows]
        if (place / "dataset.json").exists():
            dataset = Dataset.model_validate_json((place / "dataset.json").read_bytes())
            found.append(f"dataset {dataset.hash} of {place.name}")
            found += [f"example of {example.trace_id} in {place.name}" for example in dataset.examples]
        if job := _read(place / "training" / "finished.json", {}):
            found.append(f"training of {place.name}: {job['files']}")
        if decision := _read(place / "decision.json", {}):
            found.append(f"decision {decision['verdict']} of {place.name}")
    return found


def _registered(folder: Path) -> list[str]:
    registry = Registry(folder / "models")
    found = [f"version {version.id} with {sorted(version.files.items())}" for version in registry.versions()]
    found += [f"promotion of {entry.version} after {entry.previous}" for entry in registry.history()]
    champion = registry.champion
    found.append(f"champion {registry.path('champion').name if champion else None}")
    return found


def _read(path: Path, otherwise: Any) -> Any:
    return orjson.loads(path.read_bytes()) if path.exists() else otherwise
