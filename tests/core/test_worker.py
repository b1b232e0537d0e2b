"""The process that answers requests: what hangs, dies or reaches out in it costs one reply."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import WorkerError
from langgraph_ratchet.core.worker import Lost, Worker

_MODULE = """
import ctypes, os, signal, time
from langgraph_ratchet.core.inside import Service

print("what is printed is no reply", flush=True)

def service(word, memory_bytes):
    libc = ctypes.CDLL(None)
    def answer(request):
        match request:
            case "hang":
                time.sleep(60)
            case "die":
                signal.raise_signal(signal.SIGKILL)
            case "print":
                print("what is printed is no reply", flush=True)
            case "pid":
                return os.getpid()
            case "environment":
                return sorted(os.environ)
            case ["eat", size]:
                try:
                    return len(bytearray(size))
                except MemoryError:
                    return "no memory"
            case ["open", path]:
                try:
                    return open(path, "w").name
                except PermissionError as error:
                    return str(error)
            case ["open natively", path]:
                return libc.open(path.encode(), os.O_CREAT | os.O_WRONLY, 0o600)
            case "connect natively":
                return libc.socket(2, 1, 0)
        return [word, request]
    return Service(answer=answer, who="a test", timeout_s=60, memory_bytes=memory_bytes, native=True)
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """The name of a module that a worker can run."""
    name = f"answering_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(_MODULE)
    sys.path.append(str(tmp_path))
    yield name
    sys.path.remove(str(tmp_path))


@pytest.fixture
def worker(module: str) -> Iterator[Worker]:
    worker = Worker("testing", module, ("word", 1 << 30), timeout_s=2.0)
    yield worker
    worker.close()


def _ask(worker: Worker, *requests: Any) -> list[Any]:
    return worker.ask([json.dumps(request).encode() for request in requests])


def _gone(pid: int) -> Callable[[], bool]:
    stat = Path(f"/proc/{pid}/stat")
    return lambda: not stat.exists() or stat.read_text().split()[2] == "Z"


def test_replies_come_in_order_from_one_process(worker: Worker) -> None:
    assert _ask(worker, *range(100)) == [["word", number] for number in range(100)]
    assert len({*_ask(worker, "pid", "pid"), *_ask(worker, "pid")}) == 1


def test_what_hangs_or_dies_costs_its_own_reply(worker: Worker) -> None:
    replies = _ask(worker, 1, "hang", 2, "die", 3, "print", 4)
    fine = [["word", request] for request in (1, 2, 3, "print", 4)]
    assert replies == [fine[0], Lost.LATE, fine[1], Lost.DIED, *fine[2:]]


def test_killed_or_closed_between_two_requests_it_starts_anew(worker: Worker) -> None:
    (first,) = _ask(worker, "pid")
    os.kill(first, signal.SIGKILL)
    (second,) = _ask(worker, "pid")
    worker.close()
    (third,) = _ask(worker, "pid")
    assert len({first, second, third}) == 3


def test_it_has_no_secrets_no_files_no_sockets_and_little_memory(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    canary = tmp_path / "canary"
    seen, opened, natively, socket, eaten, small = _ask(
        worker,
        "environment",
        ["open", str(canary)],
        ["open natively", str(canary)],
        "connect natively",
        ["eat", 2 << 30],
        ["eat", 8],
    )
    assert set(seen) <= {"LC_CTYPE", "SYSTEMROOT", "LANGGRAPH_STRICT_MSGPACK"}
    assert opened == "a test tried what no test may: open"
    assert (natively, socket) == (-1, -1)
    assert (eaten, small) == ("no memory", 8)
    assert not canary.exists()


def test_threads_take_turns(worker: Worker) -> None:
    replies: dict[int, list[Any]] = {}
    ask = [threading.Thread(target=lambda n=n: replies.update({n: _ask(worker, *[n] * 50)})) for n in range(8)]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert replies == {number: [["word", number]] * 50 for number in range(8)}


def test_an_interrupt_leaves_no_reply_for_the_next_caller(worker: Worker) -> None:
    _ask(worker, 1)
    timer = threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        _ask(worker, "hang", "late")
    timer.join()
    assert _ask(worker, 2) == [["word", 2]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_starts_its_own(worker: Worker) -> None:
    (mine,) = _ask(worker, "pid")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(_ask(worker, "pid")[0]).encode())
        worker.close()
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        theirs = int(pipe.read())
    assert _gone(theirs)()
    assert theirs != mine
    assert _ask(worker, "pid") == [mine]


def test_one_that_cannot_start_says_why() -> None:
    worker = Worker("testing", "no_such_module", timeout_s=1.0)
    with pytest.raises(WorkerError, match=r"(?s)testing process ended before it was ready.*no_such_module"):
        _ask(worker, 1)


_WAITING = """
import contextlib, sys, threading, time
from langgraph_ratchet.core.errors import WorkerError
from langgraph_ratchet.core.worker import Worker
def wait():
    with contextlib.suppress(WorkerError):
        worker.ask([b'"hang"'])
worker = Worker("testing", sys.argv[1], ("word", 1 << 30), timeout_s=100)
print(worker.ask([b'"pid"'])[0], flush=True)
threading.Thread(target=wait, daemon=True).start()
time.sleep(0.3)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_it_ends_with_its_caller_even_under_a_thread_that_waits(module: str) -> None:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _WAITING, module],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert time.perf_counter() - started < 50
    ended = _gone(int(done.stdout))
    for _ in range(50):
        if ended():
            break
        time.sleep(0.1)
    assert ended()
    assert done.stderr == ""
