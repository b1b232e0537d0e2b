"""What runs inside a worker process (`core.worker`): reads requests, answers them one by one.

One JSON value per line, requests and replies alike. The first line out says that the process is ready. From then on
it has given up what no reply needs: it opens no file, starts no process, speaks to no network, imports nothing, and
above all compiles and evaluates nothing. What tries is stopped by a `PermissionError`.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

_MEMORY_BYTES = 2 << 30

_FORBIDDEN = ("compile", "exec", "import", "open", "os.", "pty.", "shutil.", "socket.", "subprocess.")
"""Audit events, by how they begin."""
_NATIVE = "ctypes."
"""The events of calls into native code that a library did not wrap itself."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """How a worker answers. All that an answer needs is imported by the time it is made."""

    answer: Callable[[Any], Any]
    """Makes a reply of a request."""
    who: str
    """Who tries what is forbidden, for the message ("a grader")."""
    timeout_s: float
    """Seconds that the other end waits for one reply. It kills what hangs; this is for when it is gone itself."""
    memory_bytes: int = _MEMORY_BYTES
    """Address space of the process."""
    native: bool = False
    """Whether answering calls native code through ctypes."""


def run(module: str, arguments: Sequence[Any]) -> None:
    """Answers as the `Service` that `module.service(*arguments)` makes, until standard input ends."""
    requests, replies = _take_over_pipes()
    service: Service = import_module(module).service(*arguments)
    replies.write(b'{"ready":true}\n')
    _give_up_rights(service)
    alarm = getattr(signal, "setitimer", None)
    for line in requests:
        if alarm:
            alarm(signal.ITIMER_REAL, 2 * service.timeout_s + 1)
        reply = service.answer(json.loads(line))
        if alarm:
            alarm(signal.ITIMER_REAL, 0)
        replies.write(json.dumps(reply).encode() + b"\n")


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The request and reply pipes, moved away from where code that prints or reads would meet them."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return requests, replies


def _give_up_rights(service: Service) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the rest holds there too.
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (service.memory_bytes, service.memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        # Native code causes no audit event when it opens a file or a socket; without descriptors it can't.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    forbidden = _FORBIDDEN if service.native else (*_FORBIDDEN, _NATIVE)
    who = service.who

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(forbidden):
            raise PermissionError(f"{who} tried what no {who.split()[-1]} may: {event}")

    sys.addaudithook(refuse)
