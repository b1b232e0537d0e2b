"""A run is over when nothing of it is left, however it ends: seen on the host."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.sandbox import Ending, box
from langgraph_ratchet.core.sandbox.find import Sandbox

NewWatch = Callable[..., Any]
SLEEPS = "import time\ntime.sleep(60)"


@pytest.fixture
def started(watch: NewWatch) -> Callable[[float], Any]:
    """Starts a run that sleeps, and waits until all its processes are there."""

    def start(wall_s: float) -> Any:
        watching = watch(wall_s)
        thread = threading.Thread(target=lambda: setattr(watching, "ran", watching.run(SLEEPS)))
        watching.over = thread.join
        thread.start()
        wait_for(watching)
        return watching

    return start


def wait_for(watching: Any) -> None:
    deadline = time.monotonic() + 30
    while len(list(watching.processes())) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_namespace_is_its_own(started: Callable[[float], Any]) -> None:
    watching = started(1.0)
    own = {path.name: os.readlink(path) for path in Path("/proc/self/ns").iterdir()}
    inside = [path for path in watching.processes() if os.readlink(path / "ns" / "pid") != own["pid"]]
    assert len(inside) == 2
    for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
        assert all(os.readlink(path / "ns" / name) != own[name] for path in inside), name
    watching.over()
    assert watching.ran.ending is Ending.TIME


def test_nothing_is_left_when_the_caller_is_killed(sandbox: Sandbox, watch: NewWatch) -> None:
    watching = watch()
    calling = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "from langgraph_ratchet.core.sandbox.find import Limits, Sandbox\n"
            f"limits = Limits(memory_bytes={watching.limits.memory_bytes}, wall_s=60)\n"
            f"Sandbox({sandbox.name!r}).run('import time; time.sleep(60)', limits)",
        ]
    )
    deadline = time.monotonic() + 30
    while len(list(watching.processes())) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(list(watching.processes())) >= 3
    calling.kill()
    calling.wait()
    while list(watching.processes()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not list(watching.processes())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_it_ends_in_time_though_a_fork_of_the_caller_holds_its_input(
    started: Callable[[float], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box, "_STOPPING_S", 60.0)
    watching = started(2.0)
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    since = time.monotonic()
    watching.over()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert watching.ran.ending is Ending.TIME
    assert time.monotonic() - since < 30


@pytest.mark.slow
def test_what_does_not_stop_when_told_is_killed(
    started: Callable[[float], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box, "_STOPPING_S", 0.3)
    watching = started(2.0)
    for path in watching.processes():
        os.kill(int(path.name), signal.SIGSTOP)
    watching.over()
    assert watching.ran.ending is Ending.TIME
