"""Runs code by a command that shuts it in, and waits until nothing of it is left: what it wrote, and how it ended."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from langgraph_ratchet.core.errors import BadInputError, SandboxError
from langgraph_ratchet.core.sandbox import inside

_STOPPING_S = 2.0
_KILLED_S = 5.0
_CHUNK_BYTES = 1 << 16
_LEAST_MEMORY_BYTES = 64 << 20
_OPEN_FILES = 64


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What code may use. More than that it does not get, or it ends.

    Raises:
        BadInputError: a limit is too low for anything to run.
    """

    memory_bytes: int = 512 << 20
    """Address space."""
    cpu_s: int = 10
    wall_s: float = 15.0
    """More than the processor time, which a busy machine shares."""
    folder_bytes: int = 64 << 20
    """The working folder, which lies in memory."""
    file_bytes: int = 32 << 20
    """One file."""
    files: int = 1_000
    """Files and folders in the working folder."""
    output_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        if self.memory_bytes < _LEAST_MEMORY_BYTES:
            raise BadInputError(
                f"memory_bytes is {self.memory_bytes}; an interpreter needs at least {_LEAST_MEMORY_BYTES}"
            )
        for name in ("cpu_s", "wall_s", "folder_bytes", "file_bytes", "files", "output_bytes"):
            if getattr(self, name) <= 0:
                raise BadInputError(f"{name} is {getattr(self, name)}; it must be more than 0")


class Ending(StrEnum):
    """How a run of code ended."""

    DONE = "done"
    RAISED = "raised"
    """It raised, the traceback is in the output; or it ended with another exit status than 0."""
    TIME = "time"
    """Its time was over."""
    CPU = "cpu"
    """Its processor time was used up."""
    OUTPUT = "output"
    """It wrote more than it may."""
    FILES = "files"
    """It made more files than it may."""
    DIED = "died"
    """It died of a signal."""


@dataclass(frozen=True)
class Ran:
    """What came of a run of code."""

    output: str
    """What it wrote, as a terminal shows it: both streams, the value of the last expression, or the traceback."""
    ending: Ending
    signal: str | None = None
    """The signal's name, if it died of one."""


_ENDINGS = {
    inside.DONE: Ending.DONE,
    inside.RAISED: Ending.RAISED,
    inside.FILES: Ending.FILES,
    inside.CPU: Ending.CPU,
}


def arguments_inside(limits: Limits, refused: bytes) -> list[str]:
    """What `core.sandbox.inside` is told, beside the code."""
    numbers = (limits.memory_bytes, limits.cpu_s, limits.file_bytes, _OPEN_FILES, limits.files)
    return [*(str(number) for number in numbers), refused.hex()]


def run_shut_in(command: Sequence[str], environment: Mapping[str, str], code: str, limits: Limits) -> Ran:
    """Runs `code` by `command`, which starts `core.sandbox.inside` in a sandbox.

    When this returns, or raises, all processes that were started have ended.

    Raises:
        SandboxError: the sandbox could not be made; the code was not run.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise SandboxError(f"{command[0]} could not be started: {error}") from error
    data = code.encode(errors="backslashreplace")
    try:
        output, stopped = _exchange(process, b"%d\n%s" % (len(data), data), limits)
    finally:
        status = _end(process)
    text = output[: limits.output_bytes].decode(errors="replace")
    if stopped is not None:
        return Ran(text, stopped)
    if status in _ENDINGS:
        return Ran(text, _ENDINGS[status])
    if inside.SIGNAL < status <= inside.SIGNAL + max(signal.valid_signals()):
        return Ran(text, Ending.DIED, _name(status - inside.SIGNAL))
    raise SandboxError(" ".join(text.split())[-300:] or f"the sandbox ended with exit status {status}")


def _exchange(process: "subprocess.Popen[bytes]", data: bytes, limits: Limits) -> tuple[bytes, Ending | None]:
    """Writes the code and reads the output until it ends; why it has to be stopped, if it has to be."""
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = time.monotonic() + limits.wall_s
    output, rest = bytearray(), memoryview(data)
    with selectors.DefaultSelector() as selector:
        for pipe, wanted in ((process.stdin, selectors.EVENT_WRITE), (process.stdout, selectors.EVENT_READ)):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, wanted)
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fd == process.stdout.fileno():
                    read = os.read(key.fd, _CHUNK_BYTES)
                    output += read
                    if not read:
                        return bytes(output), None
                    if len(output) > limits.output_bytes:
                        return bytes(output), Ending.OUTPUT
                    continue
                with contextlib.suppress(BrokenPipeError):  # its output says why it has ended
                    rest = rest[os.write(key.fd, rest) :]
                    if rest:
                        continue
                # Not closed: the end of its input would stop it.
                selector.unregister(process.stdin)
    return bytes(output), Ending.TIME


def _end(process: "subprocess.Popen[bytes]") -> int:
    """Stops what still runs, and waits for its end; the exit status."""
    assert process.stdin is not None
    assert process.stdout is not None
    # The byte is for when a fork of this process holds the pipe open.
    with contextlib.suppress(OSError):
        os.write(process.stdin.fileno(), b".")
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        status = process.wait(timeout=_STOPPING_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        _wait_for_group(process.pid)
    process.stdout.close()
    return status


def _wait_for_group(group: int) -> None:
    """Waits until a killed process group is empty: its leader's end does not wait for the namespace's first process.

    Not for ever: where nothing reaps orphans, as in some containers, what has ended still counts as there.
    """
    deadline = time.monotonic() + _KILLED_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.002)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals, most of which have no name
        return f"signal {number}"
