"""A server that is killed is started anew, and one that is told to stop or fails is not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("supervised.py")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has forks that can be relied on")


@pytest.fixture
def start() -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts the server in a process group of its own."""
    started = []

    def call(how: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, SERVER, how],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def serving(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """The number of the process that serves, and how often it was started before."""
    number, starts = line(process).split()
    assert line(process) == "serves"
    return int(number), int(starts)


def is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_server_is_started_anew(start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    process = start("serves")
    first, starts = serving(process)
    assert starts == 0
    assert first != process.pid
    os.kill(first, signal.SIGKILL)
    second, starts = serving(process)
    assert (second != first, starts) == (True, 1)
    process.terminate()
    output, errors = process.communicate(timeout=20)
    assert (output, process.returncode) == ("asked\n", 0)
    assert "killed by SIGKILL and is started anew" in errors


def test_a_server_that_is_killed_again_and_again_is_given_up(start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    process = start("dies")
    output, errors = process.communicate(timeout=20)
    assert len(output.splitlines()) == 3
    assert process.returncode == 1
    assert "killed by SIGKILL 3 times" in errors


def test_a_failure_is_no_reason_to_start_anew(start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    process = start("fails")
    output, _ = process.communicate(timeout=20)
    assert (len(output.splitlines()), process.returncode) == (1, 3)


def test_ctrl_c_is_told_once(start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """A terminal sends it to the whole foreground group; twice would end the server at once."""
    process = start("serves")
    serving(process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == ("asked\n", 0)


def test_the_server_ends_when_its_supervisor_is_killed(start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    process = start("serves")
    number, _ = serving(process)
    process.kill()
    assert line(process) == "asked"
    until = time.monotonic() + 20
    while is_there(number) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_there(number)
