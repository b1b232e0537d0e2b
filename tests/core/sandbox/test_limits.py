"""Whatever code does to a machine, it is bounded: measured on the host while it runs."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_ratchet.core.sandbox import Ending, Ran
from langgraph_ratchet.core.sandbox.find import Sandbox

MIB = 1 << 20
# The one that starts, the first inside, the code's; one more while they start.
MOST_PROCESSES = 4
INTERPRETERS_MIB = 64

NewWatch = Callable[..., Any]


def tries(statement: str) -> str:
    """Code that tries a hundred times and says how often it succeeded."""
    return (
        "import os, subprocess, threading\ndone = 0\nfor _ in range(100):\n"
        f"    try: {statement}\n    except (OSError, RuntimeError): continue\n    done += 1\ndone\n"
    )


CATCHES_SIGNALS = (
    "import signal\nfor n in range(1, 30):\n    try: signal.signal(n, lambda *_: None)\n"
    "    except (OSError, ValueError): pass\nwhile True: pass"
)


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("9**9**9", Ending.TIME),
        ("held = bytearray(3 << 30)", Ending.RAISED),
        ("held = []\nwhile True: held.append(bytes(1 << 20))", Ending.RAISED),
        ("held = []\nwhile True: held.append(bytes(1 << 13))", Ending.RAISED),
        ("'a' * 10**12", Ending.RAISED),
        ("import mmap\nheld = []\nwhile True: held.append(mmap.mmap(-1, 1 << 20))", Ending.RAISED),
        ("while True: print('x' * 1000)", Ending.OUTPUT),
        ("import os\nn = 0\nwhile True:\n    os.mkdir(str(n))\n    n += 1", Ending.FILES),
        ("open('a', 'wb').write(bytes(33 << 20))", Ending.RAISED),
        ("for n in range(9): open(str(n), 'wb').write(bytes(16 << 20))", Ending.RAISED),
        ("import os\nheld = [os.open(str(n), os.O_CREAT) for n in range(99)]", Ending.RAISED),
        ("import ctypes\nctypes.string_at(0)", Ending.DIED),
        ("import os\nos.kill(os.getpid(), 9)", Ending.DIED),
        ("import os\nfor n in range(1, 65): os.kill(1, n)", Ending.DONE),
    ],
)
def test_it_is_bounded(watch: NewWatch, code: str, ending: Ending) -> None:
    watching = watch(wall_s=0.5 if ending is Ending.TIME else 20.0)
    ran = watching.run(code)
    assert ran.ending is ending, ran.output[-500:]
    assert len(ran.output) <= watching.limits.output_bytes
    assert watching.most_processes <= MOST_PROCESSES
    assert watching.most_bytes < watching.limits.memory_bytes + INTERPRETERS_MIB * MIB


@pytest.mark.parametrize(
    "statement",
    [
        "os.fork()",
        "subprocess.Popen(['/python/bin/python'])",
        "threading.Thread(target=threading.Event().wait).start()",
    ],
)
def test_nothing_multiplies(watch: NewWatch, statement: str) -> None:
    watching = watch()
    assert watching.run(tries(statement)) == Ran("0\n", Ending.DONE)
    assert 1 <= watching.most_processes <= MOST_PROCESSES
    assert watching.most_threads <= MOST_PROCESSES


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    ["9**9**9", CATCHES_SIGNALS, "import os\nos.closerange(0, 99)\nwhile True: pass", f"{tries('os.fork()')}9**9**9"],
    ids=["power", "catches signals", "closes its output", "forks"],
)
def test_processor_time_is_bounded(watch: NewWatch, code: str) -> None:
    watching = watch(wall_s=30.0, cpu_s=1)
    assert watching.run(code).ending is Ending.CPU
    assert watching.most_processes <= MOST_PROCESSES


def test_memory_that_is_there_can_be_used(watch: NewWatch) -> None:
    watching = watch()
    assert watching.run("len(bytearray(150 << 20))").output == f"{150 * MIB}\n"
    assert watching.most_bytes > 0


@pytest.mark.slow
def test_a_run_costs_less_than_150_ms(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    # The best of many: a busy machine adds to a time and never takes away.
    times = []
    for _ in range(20):
        started = time.perf_counter()
        assert sandbox.run("1").ending is Ending.DONE
        times.append(time.perf_counter() - started)
    with capsys.disabled():
        print(f"\na run in {sandbox.name}: {min(times) * 1000:.0f} ms, median {sorted(times)[10] * 1000:.0f} ms")
    assert min(times) < 0.150
