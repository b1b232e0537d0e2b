"""The disk is full while something is recorded, trained, promoted or improved: it is said, and no harm is done."""

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from langgraph_ratchet.core.call import Call, CallKey, Fingerprint, Sampling, Usage
from langgraph_ratchet.core.errors import RegistryError, StoreError, TrainingFailedError
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

pytestmark = pytest.mark.slow


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leaves no room at all."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass

    def free(self) -> None:
        """Makes room again."""
        self._ballast.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("not verified: a small file system cannot be mounted here (it takes root)")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def add(tmp_path: Path) -> Callable[[Registry, int], ModelVersion]:
    """Adds an adapter of half a page and more to a registry; equal numbers give equal files."""

    def call(registry: Registry, number: int) -> ModelVersion:
        staged = tmp_path / f"staged_{number}"
        staged.mkdir(exist_ok=True)
        save_file({"lora_A": np.full((64, 64), number, dtype=np.float32)}, staged / "adapter_model.safetensors")
        (staged / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}')
        return registry.add(
            staged,
            base="pocket",
            parent=None,
            dataset_hash="d" * 64,
            trace_ids=[],
            fingerprint=Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64),
            training=None,
            arguments={},
        )

    return call


def test_promoting(disk: Disk, add: Callable[[Registry, int], ModelVersion]) -> None:
    registry = Registry(disk.folder / "models")
    old, new = add(registry, 0), add(registry, 1)
    registry.promote(old.id, expected=None, reason="first")
    disk.fill()
    for change in (
        lambda: registry.promote(new.id, expected=old.id, reason="better"),
        lambda: registry.rollback("worse"),
        lambda: add(registry, 2),
    ):
        with pytest.raises(RegistryError, match=r"No space left.*Check that the disk has room.* whole or absent"):
            change()
    assert registry.champion == old
    assert registry.path("champion").name == old.id
    assert len(registry.history()) == 1
    assert registry.versions() == [old, new]
    disk.free()
    registry.promote(new.id, expected=old.id, reason="better")
    assert registry.path("champion").name == new.id
    assert add(registry, 2) in registry.versions()


def call_of(run_id: str, number: int) -> Call:
    return Call(
        id=f"call_{run_id}_{number}",
        key=CallKey(run_id=run_id, task_id="task", index=number),
        node="act",
        messages=({"role": "user", "content": "?" * 3000},),
        tools=(),
        reply={"role": "assistant", "content": "!"},
        sampling=Sampling(temperature=0.0, seed=0, max_tokens=9),
        usage=Usage(input_tokens=5, output_tokens=3),
        seconds=0.25,
        tokens=None,
    )


def test_recording(disk: Disk) -> None:
    path = disk.folder / "traces.db"
    store = TraceStore(f"sqlite:///{path}")
    store.begin("run_1", Question(text="?"), "scripted", 0.0)
    acknowledged = [store.add_call(call_of("run_1", number)) for number in range(5)]
    disk.fill()

    def record_on() -> None:
        for number in range(5, 1000):  # the log has some room of its own
            acknowledged.append(store.add_call(call_of("run_1", number)))

    with pytest.raises(StoreError, match=r"full.*Check that the disk has room.*what was recorded before is kept"):
        record_on()
    assert store.calls("run_1") == acknowledged
    disk.free()
    after = store.add_call(call_of("run_1", 1000))
    store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    again = TraceStore(f"sqlite:///{path}")
    assert again.calls("run_1") == [*acknowledged, after]
    again.close()


def test_training(disk: Disk, practice_job: Callable[[Path], object], tmp_path: Path) -> None:
    from langgraph_ratchet.training.job import Job
    from langgraph_ratchet.training.run import run_job

    (tmp_path / "roomy").mkdir()
    roomy, job = practice_job(tmp_path / "roomy"), practice_job(disk.folder)
    assert isinstance(job, Job)
    assert isinstance(roomy, Job)
    disk.fill()
    with pytest.raises(TrainingFailedError, match="could not write to .* see that the disk has room"):
        run_job(job)
    disk.free()

    def fill(progress: Progress) -> None:
        if progress.done > 3:
            disk.fill()

    # The trainer finds the disk full when it is at work; then it cannot even write why it fails.
    with pytest.raises(TrainingFailedError, match=r"could not (be written|write) to .* room"):
        run_job(job, on_progress=fill)
    assert not job.out.exists()
    disk.free()
    told: list[Progress] = []
    run_job(job, on_progress=told.append)
    assert told[0].message.startswith("resumed at step ")
    run_job(roomy)
    one, other = (one.out / "adapter_model.safetensors" for one in (job, roomy))
    assert one.read_bytes() == other.read_bytes()


def test_improving(disk: Disk) -> None:
    """In the middle of the rollouts; the run is resumed when there is room."""
    script = Path(__file__).parents[1] / "improvement" / "tiny_run.py"
    command = [sys.executable, script, disk.folder / "run", "--count", "3", "--samples", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    store = TraceStore(f"sqlite:///{disk.folder}/run/traces.db")
    while len(store.traces(limit=None)) < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    store.close()
    disk.fill()
    said = process.communicate()[1]
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert re.match(r"error: .* the disk has room .* --resume", said.splitlines()[-1]), said
    disk.free()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
