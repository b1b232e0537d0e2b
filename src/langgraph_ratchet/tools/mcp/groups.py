"""The process groups of the servers that run: each is killed as a whole, also if this process is killed itself."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")


class Groups:
    """Which groups live; a guard process knows them too (`tools.mcp.guard`)."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._alive: set[int] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self._told = -1
        """The writing end of the guard's input."""

    def add(self, group: int) -> None:
        """Takes a group into care: the process that was started with `start_new_session` and what it starts."""
        with self._turn:
            self._alive.add(group)
            self._tell(f"+{group}\n")

    def kill(self, group: int) -> None:
        """Ends the group at once, if it has not ended."""
        with self._turn:
            if group not in self._alive:
                return  # its number may be another's by now
            self._alive.discard(group)
            send(group, getattr(signal, "SIGKILL", signal.SIGTERM))
            self._tell(f"-{group}\n")

    def close(self) -> None:
        """Ends all that live, and the guard."""
        for group in list(self._alive):
            self.kill(group)
        with self._turn:
            guard, self._guard = self._guard, None
            if guard is not None:
                os.close(self._told)
                guard.wait()

    def forget(self) -> None:
        """Lets go of all without ending them: after a fork they belong to the parent."""
        self._turn = threading.Lock()
        self._alive.clear()
        guard, self._guard = self._guard, None
        if guard is not None:
            os.close(self._told)  # else the guard would wait for the end of this process too
            guard.returncode = 0  # it is not this process's child

    def _tell(self, line: str) -> None:
        if not hasattr(os, "killpg"):
            return
        if self._guard is None:
            self._start()
        try:
            os.write(self._told, line.encode())
        except BrokenPipeError:  # somebody has ended the guard
            assert self._guard is not None
            self._guard.wait()
            os.close(self._told)
            self._start()

    def _start(self) -> None:
        read, self._told = os.pipe()
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD)],
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,  # an interrupt from the keyboard must not end it first
        )
        os.close(read)
        os.write(self._told, "".join(f"+{group}\n" for group in self._alive).encode())


def send(group: int, number: int) -> None:
    """Sends a signal to a whole group; where there are no groups, to its first process."""
    with suppress(ProcessLookupError, PermissionError):
        (os.killpg if hasattr(os, "killpg") else os.kill)(group, number)


GROUPS = Groups()
"""Those of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=GROUPS.forget)
