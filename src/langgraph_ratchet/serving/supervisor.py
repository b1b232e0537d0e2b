"""Starts the server anew when it is killed: by the kernel for want of memory, or by a fault in native code.

This process imports what the server needs, opens the socket, and serves from a fork of itself; it waits for that, and
forks again when it was killed. The new server has nothing to import, and requests that come meanwhile wait at the
socket.
"""

import gc
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from types import FrameType

from langgraph_ratchet.core.errors import WorkerError

_STEADY_S = 30.0
"""A server that was killed after this time may be started anew as often as if it had never been killed."""
_STARTS = 3
"""Starts in a row that may end sooner."""
_ENDING_S = 2.0
_LOCAL = ("pocket", "champion", "local:", "hf:")


def preload(model: str) -> None:
    """Imports what serving a model needs, and loads no weights: a fork must not come after the first product of torch.

    Args:
        model: its name, as for `resolve_model`.
    """
    import_module("langgraph_ratchet.serving.catalogue")
    import_module("langgraph_ratchet.serving.start")
    if model.startswith(_LOCAL):
        with suppress(ModuleNotFoundError):  # which is said where the model is loaded
            # Any architecture: what takes long is what all of them import.
            import_module("transformers.models.llama.modeling_llama")
            import_module("langgraph_ratchet.chat_models.chat_transformers")


def supervise() -> int:
    """Returns in the process that is to serve; the calling process stays here until that has ended.

    It hands on SIGTERM and SIGINT, and ends with the exit status of the server. Where a fork cannot be relied on
    (anything but Linux, and a process with several threads), the calling process is to serve, unsupervised.

    Returns:
        How often the server was started before.

    Raises:
        WorkerError: the server was killed again and again; in the calling process.
        SystemExit: the server has ended; in the calling process.
    """
    if sys.platform != "linux" or not _alone():
        return 0
    gc.freeze()  # what both processes use is left where it lies, so that it is not copied
    starts, early = 0, 0
    while True:
        alive, hold = os.pipe()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(hold)
            # Else Ctrl-C would come twice, from the terminal and from here, and the second ends the server at once.
            os.setpgrp()
            threading.Thread(target=_end_with, args=(alive,), daemon=True, name="ratchet-supervised").start()
            return starts
        os.close(alive)
        status, told = _wait(child)
        os.close(hold)
        if os.WIFEXITED(status) or told:
            sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)
        name = signal.Signals(os.WTERMSIG(status)).name
        early = 1 if time.monotonic() - began > _STEADY_S else early + 1
        if early >= _STARTS:
            raise WorkerError(
                f"the server was killed by {name} {early} times, each within {_STEADY_S:g} s of its start: if the "
                "system's log says that memory ran out, serve a smaller model or lower --max-running"
            )
        starts += 1
        print(f"warning: the server was killed by {name} and is started anew", file=sys.stderr, flush=True)


def _alone() -> bool:
    """Whether this is the only thread; one that just ends, such as that of a progress line, is waited for."""
    until = time.monotonic() + _ENDING_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))
    return threading.active_count() == 1


def _wait(child: int) -> tuple[int, bool]:
    """How the child ended, and whether it was told to; signals are handed on meanwhile."""
    told = False

    def hand_on(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        os.kill(child, number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return os.waitpid(child, 0)[1], told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_with(alive: int) -> None:
    """Lets the server come to its end when the process that supervises it is gone."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)
