"""The worker survives graders that hang, die, print, evaluate and reach out; a fault costs one verdict."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import GradingError
from langgraph_ratchet.grading.judgement import Judgement, Unjudged
from langgraph_ratchet.grading.worker import Worker

_FINE = Judgement(strict=True, lenient=True, reason="fine")


def _key(grader: str, value: str = "") -> AnswerKey:
    return AnswerKey(value=value, grader=grader)


@pytest.fixture
def worker(misbehaving: str) -> Iterator[Worker]:
    worker = Worker(timeout_s=2.0, package=misbehaving)
    yield worker
    worker.close()


@pytest.fixture
def real_worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def _pid(worker: Worker) -> int:
    assert worker._process is not None
    return worker._process._popen.pid


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_grader_that_hangs_is_stopped_and_the_others_are_judged(worker: Worker) -> None:
    worker.judge([(_key("hanging"), "fine")])
    hanging = _pid(worker)
    started = time.perf_counter()
    verdicts = worker.judge([(_key("hanging"), answer) for answer in ("fine", "hang", "fine", "fine")])
    assert time.perf_counter() - started < 30
    assert verdicts == [_FINE, Unjudged("the grader was stopped after 2 s"), _FINE, _FINE]
    assert _is_gone(hanging)


def test_a_grader_that_dies_costs_one_verdict(worker: Worker) -> None:
    verdicts = worker.judge([(_key("dying"), answer) for answer in ("fine", "die", "fine", "die", "fine")])
    assert verdicts[0::2] == [_FINE] * 3
    assert verdicts[1::2] == [Unjudged("the grader's process died on it, twice")] * 2


def test_killed_from_outside_midway_it_loses_no_verdict(real_worker: Worker) -> None:
    answer = "so she makes " + "$18 " * 4000
    pairs = [(_key("number", "18"), answer)] * 400
    started = time.monotonic()
    real_worker.judge(pairs[:1])
    one_s = time.monotonic() - started  # to start it, and for its first verdict
    killed: list[int] = []

    def kill() -> None:
        for _ in range(3):
            time.sleep(0.05)
            process = real_worker._process
            if process is not None and process._popen.poll() is None:
                killed.append(process._popen.pid)
                os.kill(process._popen.pid, signal.SIGKILL)
                time.sleep(3 * one_s)  # what it dies on twice it does not judge

    killer = threading.Thread(target=kill)
    killer.start()
    verdicts = real_worker.judge(pairs)
    killer.join()
    assert killed
    assert [isinstance(verdict, Judgement) and verdict.lenient for verdict in verdicts] == [True] * 400


def test_killed_between_two_answers_it_starts_anew(real_worker: Worker) -> None:
    pair = (_key("number", "18"), "18")
    first = real_worker.judge([pair])
    os.kill(_pid(real_worker), signal.SIGKILL)
    assert real_worker.judge([pair]) == first


def test_what_a_grader_prints_is_no_verdict(worker: Worker) -> None:
    verdicts = worker.judge([(_key("printing"), "x")] * 3)
    assert verdicts == [Judgement(strict=False, lenient=False, reason="fine")] * 3


def test_a_grader_cannot_evaluate(worker: Worker, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    answers = ("1+1", f"__import__('os').system('touch {canary}')", f"open({str(canary)!r}, 'w')")
    for verdict in worker.judge([(_key("evaluating"), answer) for answer in answers]):
        assert isinstance(verdict, Unjudged)
        assert "no grader may: compile" in verdict.reason
    assert not canary.exists()


def test_a_grader_cannot_start_a_process_or_write(worker: Worker, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pairs = [
        (_key("starting", f"touch {canary}"), "system"),
        (_key("starting", f"touch {canary}"), "run"),
        (_key("writing", str(canary)), "x"),
    ]
    for verdict in worker.judge(pairs):
        assert isinstance(verdict, Unjudged)
        assert "no grader may" in verdict.reason
    assert not canary.exists()


def test_a_grader_cannot_connect(worker: Worker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        verdict = worker.judge([(_key("connecting", str(server.getsockname()[1])), "x")])[0]
        assert isinstance(verdict, Unjudged)
        assert "no grader may" in verdict.reason
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_grader_that_eats_memory_is_unjudged(worker: Worker) -> None:
    pytest.importorskip("resource")
    verdicts = worker.judge([(_key("greedy"), str(8 << 30)), (_key("greedy"), "8")])
    assert isinstance(verdicts[0], Unjudged)
    assert "MemoryError" in verdicts[0].reason
    assert verdicts[1] == Judgement(strict=True, lenient=True, reason="8")


def test_graders_see_no_environment(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    verdict = worker.judge([(_key("looking"), "x")])[0]
    # Nothing but what Python and this package set themselves.
    assert set(verdict.reason.split()) <= {"LC_CTYPE", "SYSTEMROOT", "LANGGRAPH_STRICT_MSGPACK"}


def test_an_interrupt_leaves_no_verdict_for_the_next_caller(worker: Worker) -> None:
    worker.judge([(_key("hanging"), "fine")])
    timer = threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        worker.judge([(_key("hanging"), "hang"), (_key("printing"), "x")])
    timer.join()
    assert worker.judge([(_key("hanging"), "fine")]) == [_FINE]


def test_closing_ends_the_process_and_the_next_answer_starts_one(worker: Worker) -> None:
    worker.judge([(_key("dying"), "fine")])
    pid = _pid(worker)
    worker.close()
    assert _is_gone(pid)
    assert worker.judge([(_key("dying"), "fine")]) == [_FINE]


def test_a_worker_that_cannot_start_says_why() -> None:
    worker = Worker(package="no_such_package")
    with pytest.raises(GradingError, match="no_such_package"):
        worker.judge([(_key("number", "1"), "1")])
    worker.close()


def _ends(pid: int) -> Callable[[], bool]:
    return lambda: _is_gone(pid) or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_worker_whose_caller_was_killed_ends_too(misbehaving: str) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        worker = Worker(timeout_s=0.5, package=misbehaving)
        worker.judge([(_key("hanging"), "fine")])
        os.write(write, f"{_pid(worker)}\n".encode())
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        worker.judge([(_key("hanging"), "hang")])
    os.close(write)
    with os.fdopen(read) as pipe:
        pid = int(pipe.readline())
    os.waitpid(child, 0)
    ended = _ends(pid)
    for _ in range(100):
        if ended():
            break
        time.sleep(0.1)
    assert ended()
