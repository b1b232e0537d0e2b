"""`ratchet models` and `ratchet rollback`, over a registry on disk."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import Result

from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.model_version import ModelVersion, TrainingStatistics
from langgraph_ratchet.core.question import QuestionType
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.registry import Registry

Ratchet = Callable[..., Result]


@pytest.fixture
def registry(folder: Path) -> Registry:
    """The registry that the command reads."""
    return Registry(folder / ".ratchet" / "models")


@pytest.fixture
def versions(registry: Registry, folder: Path) -> list[ModelVersion]:
    """Three versions, of which the first and then the second were promoted."""
    statistics = TrainingStatistics(
        examples=344, seconds=6.5, epochs=2, steps=9, tokens=999, first_loss=0.4, last_loss=0.1
    )
    made = []
    for number in range(3):
        staged = folder / f"staged_{number}"
        staged.mkdir()
        save_file({"lora_A": np.full((2, 2), number, dtype=np.float32)}, staged / "adapter_model.safetensors")
        (staged / "adapter_config.json").write_text('{"r": 2}')
        version = registry.add(
            staged,
            base="pocket",
            parent=None,
            dataset_hash="d" * 64,
            trace_ids=[],
            fingerprint=Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64),
            training=statistics if number else None,
            arguments={},
        )
        made.append(version)
    registry.promote(made[0].id, expected=None, reason="gate passed")
    registry.promote(made[1].id, expected=made[0].id, reason="by hand")
    return made


def listed(text: str) -> dict[str, str]:
    """Short id to its line."""
    return {line[3:13]: line for line in text.splitlines() if line[3:5] == "v_"}


def test_an_empty_registry(ratchet: Ratchet) -> None:
    shown = ratchet("models")
    assert shown.exit_code == 0
    assert "the bare base is in use" in shown.stdout
    result = json.loads(ratchet("models", "--json").stdout)
    assert (result["champion"], result["versions"], result["history"]) == (None, [], [])


def test_the_champion_is_marked_and_its_history_told(ratchet: Ratchet, versions: list[ModelVersion]) -> None:
    shown = ratchet("models").stdout
    rows = listed(shown)
    first, second, third = (version.id[:10] for version in versions)
    assert list(rows) == [first, second, third]
    assert [row[0] for row in rows.values()] == [" ", "*", " "]
    assert all("whole" in row for row in rows.values())
    assert "344" in rows[second]
    assert "344" not in rows[first]
    assert f"the bare base  {first}" in shown
    assert f"{first}     {second}  by hand" in shown


def test_models_as_json(ratchet: Ratchet, versions: list[ModelVersion]) -> None:
    result = json.loads(ratchet("models", "--json").stdout)
    assert result["champion"] == versions[1].id
    assert [ModelVersion.model_validate(item["version"]) for item in result["versions"]] == versions
    assert [item["champion"] for item in result["versions"]] == [False, True, False]
    assert [item["version"] for item in result["history"]] == [versions[0].id, versions[1].id]


def test_damaged_and_missing_versions_are_flagged(
    ratchet: Ratchet, folder: Path, registry: Registry, versions: list[ModelVersion]
) -> None:
    folders = [registry.root / "versions" / version.id for version in versions]
    shutil.rmtree(folders[0])
    weights = folders[1] / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    (folders[2] / "version.json").write_text("{")
    done = ratchet("models")
    assert done.exit_code == 0
    states = {short: row.split()[-1] for short, row in listed(done.stdout).items()}
    expected = ["missing", "damaged", "damaged"]
    assert [states[version.id[:10]] for version in versions] == expected
    assert f"{weights.relative_to(folder)} has SHA-256 " in done.stdout
    result = {item["id"]: item for item in json.loads(ratchet("models", "--json").stdout)["versions"]}
    assert [result[version.id]["state"] for version in versions] == expected
    assert all(result[version.id]["fault"] for version in versions)


def report(version: str, correct: int) -> Report:
    rows = [
        ReportRow(
            problem_id=f"q_{number}",
            trace_id=f"trace_{number}",
            type=QuestionType.TEMPORAL,
            family="weekday",
            difficulty=1,
            answer="Monday",
            correct=number < correct,
            strict=False,
            outcome=Outcome.ANSWERED,
            calls=6,
            tool_calls=1,
            tokens=None,
            seconds=1.0,
        )
        for number in range(4)
    ]
    return Report(suite_hash="s", model="pocket", model_version=version, temperature=0.0, seed=0, rows=tuple(rows))


def test_the_accuracy_is_that_of_the_latest_report(
    ratchet: Ratchet, folder: Path, versions: list[ModelVersion]
) -> None:
    for number, (name, correct) in enumerate([("candidate", 1), ("baseline", 3)], start=1):
        path = folder / ".ratchet" / "improve" / f"run_{number}" / "round-1" / f"{name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(report(versions[1].id, correct).model_dump_json())
        os.utime(path, (number, number))
    (folder / ".ratchet" / "improve" / "run_1" / "round-1" / "baseline.json").write_text('{"schema_version": 99}')
    rows = listed(ratchet("models").stdout)
    assert "75 %" in rows[versions[1].id[:10]]
    assert "%" not in rows[versions[0].id[:10]]
    result = json.loads(ratchet("models", "--json").stdout)
    assert [item["accuracy"] for item in result["versions"]] == [None, {"correct": 3, "n": 4}, None]


def test_rollback_says_from_what_to_what(ratchet: Ratchet, registry: Registry, versions: list[ModelVersion]) -> None:
    first, second, _ = (version.id[:10] for version in versions)
    done = ratchet("rollback", "--reason", "worse on my questions")
    assert done.exit_code == 0
    assert done.stdout.split() == ["Champion", second, "→", first]
    assert registry.history()[-1].reason == "worse on my questions"
    assert json.loads(ratchet("rollback", "--json").stdout) == {
        "from": versions[0].id,
        "to": None,
        "reason": "ratchet rollback",
    }
    assert "Champion    the bare base\n" in ratchet("models").stdout


def test_nothing_to_roll_back_is_one_line(ratchet: Ratchet) -> None:
    done = ratchet("rollback")
    assert done.exit_code == ExitStatus.FAILED
    assert done.stderr.startswith("error: nothing to roll back: ")
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_a_damaged_predecessor_is_not_returned_to(
    ratchet: Ratchet, folder: Path, registry: Registry, versions: list[ModelVersion]
) -> None:
    weights = registry.root / "versions" / versions[0].id / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    done = ratchet("rollback", "--json")
    assert done.exit_code == ExitStatus.FAILED
    assert done.stderr.startswith(f"error: {weights.relative_to(folder)} has SHA-256 ")
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert registry.champion == versions[1]
