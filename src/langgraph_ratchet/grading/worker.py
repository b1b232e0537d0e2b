"""The process that graders run in, seen from outside: started once, and anew after it died or was killed as late.

Grading happens out of the caller's process because an answer is hostile text: a grader that it makes hang can only
be killed from outside, and one that it makes crash must not take the run along.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import GradingError
from langgraph_ratchet.core.ids import clean_json, clean_text
from langgraph_ratchet.grading.graders import PACKAGE
from langgraph_ratchet.grading.judgement import Judgement, Unjudged

TIMEOUT_S = 10.0
"""How long one answer may take, seconds. The graders here take milliseconds; a loaded machine may take longer."""

_START_TIMEOUT_S = 60.0

# Isolated (-I) and without site (-S): only what the caller's process can import, and nothing from the environment.
_PROGRAM = (
    "import json, sys; path, package, timeout_s = json.loads(sys.stdin.buffer.readline()); sys.path[:] = path; "
    "from langgraph_ratchet.grading.inside import main; main(package, timeout_s)"
)
_ROOT = str(Path(__file__).resolve().parents[2])


class Worker:
    """Judges answers in another process. Safe to use from several threads, which then take turns.

    Args:
        timeout_s: seconds that one answer may take; the late process is killed and the next answer gets a new one.
        package: the package whose files are the graders.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, package: str = PACKAGE) -> None:
        self._timeout_s = timeout_s
        self._package = package
        self._turn = threading.Lock()
        self._process: _Process | None = None

    def judge(self, pairs: Sequence[tuple[AnswerKey, str]]) -> list[Judgement | Unjudged]:
        """A verdict on each answer, in order.

        Raises:
            GradingError: the process could not be started.
        """
        requests = [_encoded(key, answer) for key, answer in pairs]
        with self._turn:
            try:
                return self._judge(requests)
            except BaseException:
                # An interrupt leaves verdicts in the pipe that the next caller would take for its own.
                self._stop()
                raise

    def close(self) -> None:
        """Ends the process; the next `judge` starts a new one."""
        with self._turn:
            self._stop()

    def forget(self) -> None:
        """Lets go of the process without ending it: after a fork it belongs to the parent."""
        self._turn = threading.Lock()
        self._process = None

    def _judge(self, requests: Sequence[bytes | Unjudged]) -> list[Judgement | Unjudged]:
        verdicts: list[Judgement | Unjudged] = []
        sent: _Process | None = None
        died_at = -1
        while len(verdicts) < len(requests):
            at = len(verdicts)
            request = requests[at]
            if isinstance(request, Unjudged):
                verdicts.append(request)
                continue
            process = self._running()
            if process is not sent:
                for waiting in requests[at:]:
                    if isinstance(waiting, bytes):
                        process.requests.put(waiting)
                sent = process
            try:
                line = process.verdicts.get(timeout=self._timeout_s)
            except queue.Empty:
                verdicts.append(Unjudged(f"the grader was stopped after {self._timeout_s:g} s"))
                self._stop()
                continue
            if line:
                verdicts.append(_decoded(line))
                continue
            self._stop()
            # The process may have died of something else than this answer, so it gets a second one.
            if died_at == at:
                verdicts.append(Unjudged("the grader's process died on it, twice"))
            died_at = at
        return verdicts

    def _running(self) -> "_Process":
        if self._process is None:
            self._process = _Process(self._package, self._timeout_s)
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()


class _Process:
    """One run of the worker program, with a thread that writes to it and one that reads from it.

    Both ends are served at once because either pipe may be full: a request can be a megabyte long.
    """

    def __init__(self, package: str, timeout_s: float) -> None:
        self.requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        """Lines to write; `None` ends the input."""
        self.verdicts: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        """Lines read; an empty one when the process has ended."""
        path = [os.path.abspath(entry or os.curdir) for entry in sys.path]
        with tempfile.TemporaryFile() as errors:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ},
                start_new_session=True,
            )
            for work, pipe in ((self._write, self._popen.stdin), (self._read, self._popen.stdout)):
                threading.Thread(target=work, args=(pipe,), name="ratchet-grading", daemon=True).start()
            self.requests.put(json.dumps([[*path, _ROOT], package, timeout_s]).encode() + b"\n")
            try:
                ready = self.verdicts.get(timeout=_START_TIMEOUT_S)
            except BaseException as error:
                self.kill()
                if not isinstance(error, queue.Empty):
                    raise
                raise GradingError(f"the grading process was not ready after {_START_TIMEOUT_S:g} s") from None
            if not ready:
                self.kill()
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()[-2000:]
                raise GradingError(f"the grading process ended before it was ready; it said: {said or 'nothing'}")

    def kill(self) -> None:
        """Ends the process and whatever it started, at once."""
        self.requests.put(None)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._popen.pid, signal.SIGKILL)
            else:
                self._popen.kill()
        self._popen.wait()

    def _write(self, pipe: IO[bytes] | None) -> None:
        # A broken pipe is not reported here: the reader sees the end of the process.
        assert pipe is not None
        with contextlib.suppress(OSError), pipe:
            while (line := self.requests.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _read(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        with pipe:
            for line in pipe:
                self.verdicts.put(line)
        self.verdicts.put(b"")


def _encoded(key: AnswerKey, answer: str) -> bytes | Unjudged:
    try:
        request = {"key": clean_json(key.model_dump()), "answer": clean_text(answer)}
        return json.dumps(request).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        return Unjudged(f"the key's arguments are not JSON: {error}")


def _decoded(line: bytes) -> Judgement | Unjudged:
    verdict = json.loads(line)
    return Unjudged(verdict["unjudged"]) if "unjudged" in verdict else Judgement(**verdict)
