"""Ctrl-C in each phase of a round, one after another in the same run: nothing is lost, nothing is done twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

WAIT_S = 120.0


def start(workplace: Any, folder: Path, *options: str) -> subprocess.Popen[str]:
    """`ratchet improve` on the small suites, as a user starts it."""
    settings = workplace.settings
    command = [
        *(sys.executable, "-c", "from langgraph_ratchet.cli import main; main()"),
        *("improve", "--run", "stopped", "--suite", settings["suite"], "--practice", settings["practice"]),
        *("--promotion", "auto", "--json", *options),
    ]
    environment = {**os.environ, "TRAINING_DATA_PATH": str(folder), "MODEL_SAVE_PATH": str(folder / "models")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def interrupt(process: subprocess.Popen[str], reached: Callable[[], bool]) -> str:
    """Sends what Ctrl-C sends once `reached`; gives what was said on stderr."""
    until = time.monotonic() + WAIT_S
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "the phase was not reached"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=WAIT_S)[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_round_that_is_stopped_in_every_phase_ends_as_if_it_had_not_been(workplace: Any, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    store, registry = TraceStore(f"sqlite:///{folder / 'traces.db'}"), Registry(folder / "models")
    round_folder = folder / "improve" / "stopped" / "round-1"
    phases: list[Callable[[], bool]] = [
        lambda: len(store.traces(limit=None)) >= 2,  # measuring the champion: 10 runs
        lambda: len(store.traces(limit=None)) >= 15,  # rolling out: 10 problems, 4 runs each
        lambda: (round_folder / "training" / "progress.jsonl").exists(),
        lambda: bool(registry.versions()) and len(store.traces(limit=None)) >= 52,  # measuring the candidate
    ]
    options: tuple[str, ...] = ()
    for reached in phases:
        process = start(workplace, folder, *options)
        said = interrupt(process, reached)
        assert process.returncode == 130, said
        assert "nothing recorded is lost" in said
        assert "Traceback" not in said
        options = ("--resume",)
    process = start(workplace, folder, "--resume")
    out, said = process.communicate(timeout=WAIT_S)
    assert process.returncode in (0, 3, 4), said
    figures = orjson.loads(out)
    assert len(figures["checks"]) >= 3
    traces = store.traces(limit=None)
    assert len(traces) == 10 + 40 + 10
    assert len({trace.id for trace in traces}) == len(traces)
    assert len(registry.versions()) == 1
    store.close()


@pytest.mark.slow
def test_resuming_what_was_never_begun_is_one_clear_error(workplace: Any, tmp_path: Path) -> None:
    process = start(workplace, tmp_path / "home", "--resume")
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert "there is no run 'stopped'" in said
    assert "Traceback" not in said
