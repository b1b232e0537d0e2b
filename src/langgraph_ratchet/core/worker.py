"""A process that answers requests, seen from outside: started once, and anew after it died or was killed as late.

Hostile text is worked on out of the caller's process: what hangs on it can only be killed from outside, and what
crashes on it must not take the run along. `core.inside` is the other end.
"""

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import IO, Any

from langgraph_ratchet.core.errors import WorkerError

_START_TIMEOUT_S = 60.0

# Isolated (-I) and without site (-S): only what the caller's process can import, and nothing from the environment.
_PROGRAM = (
    "import json, sys; path, module, arguments = json.loads(sys.stdin.buffer.readline()); sys.path[:] = path; "
    "from langgraph_ratchet.core.inside import run; run(module, arguments)"
)
_ROOT = str(Path(__file__).resolve().parents[2])


class Lost(Enum):
    """Why a request has no reply."""

    LATE = "late"
    """It took longer than the worker's time; the process was killed."""
    DIED = "died"
    """The process died on it, twice."""


class Worker:
    """Has requests answered in another process. Safe to use from several threads, which then take turns.

    The process ends with this one, and a fork of this one starts its own.

    Args:
        name: what the process does, in one word, for messages ("grading").
        module: the module whose `service(*arguments)` makes the `core.inside.Service` that answers.
        arguments: plain data for `service`.
        timeout_s: seconds that one reply may take; the late process is killed and the next request gets a new one.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[Any] = (), *, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._program = (module, list(arguments))
        self._turn = threading.Lock()
        self._process: _Process | None = None
        self._ended = False
        _workers.add(self)

    def ask(self, requests: Sequence[bytes]) -> list[Any]:
        """The reply to each request, in order; `Lost` in the place of one that there is none for.

        Args:
            requests: JSON, each without a line break in it.

        Raises:
            WorkerError: the process could not be started.
        """
        with self._turn:
            try:
                return self._ask(requests)
            except BaseException:
                # An interrupt leaves replies in the pipe that the next caller would take for its own.
                self._stop()
                raise

    def close(self) -> None:
        """Ends the process; the next `ask` starts a new one."""
        with self._turn:
            self._stop()

    def forget(self) -> None:
        """Lets go of the process without ending it: after a fork it belongs to the parent."""
        self._turn = threading.Lock()
        self._process = None

    def end(self) -> None:
        """Ends the process for good, also under a thread that still waits for a reply: the caller's own end."""
        self._ended = True
        self._stop()

    def _ask(self, requests: Sequence[bytes]) -> list[Any]:
        replies: list[Any] = []
        sent: _Process | None = None
        died_at = -1
        while len(replies) < len(requests):
            at = len(replies)
            process = self._running()
            if process is not sent:
                for request in requests[at:]:
                    process.requests.put(request + b"\n")
                sent = process
            try:
                line = process.replies.get(timeout=self._timeout_s)
            except queue.Empty:
                replies.append(Lost.LATE)
                self._stop()
                continue
            if line:
                replies.append(json.loads(line))
                continue
            self._stop()
            # The process may have died of something else than this request, so it gets a second one.
            if died_at == at:
                replies.append(Lost.DIED)
            died_at = at
        return replies

    def _running(self) -> "_Process":
        if self._ended:
            raise WorkerError(f"the {self._name} process has ended with its caller")
        if self._process is None:
            self._process = _Process(self._name, *self._program)
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()


class _Process:
    """One run of the worker program, with a thread that writes to it and one that reads from it.

    Both ends are served at once because either pipe may be full: a request can be a megabyte long.
    """

    def __init__(self, name: str, module: str, arguments: list[Any]) -> None:
        self.requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        """Lines to write; `None` ends the input."""
        self.replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
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
                threading.Thread(target=work, args=(pipe,), name=f"ratchet-{name}", daemon=True).start()
            self.requests.put(json.dumps([[*path, _ROOT], module, arguments]).encode() + b"\n")
            try:
                ready = self.replies.get(timeout=_START_TIMEOUT_S)
            except BaseException as error:
                self.kill()
                if not isinstance(error, queue.Empty):
                    raise
                raise WorkerError(f"the {name} process was not ready after {_START_TIMEOUT_S:g} s") from None
            if not ready:
                self.kill()
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()[-2000:]
                raise WorkerError(f"the {name} process ended before it was ready; it said: {said or 'nothing'}")

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
                self.replies.put(line)
        self.replies.put(b"")


_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()


def _end_all() -> None:
    for worker in list(_workers):
        worker.end()


def _forget_all() -> None:
    for worker in list(_workers):
        worker.forget()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
