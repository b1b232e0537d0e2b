"""The MCP server over stdin and stdout: one client, whose child process this is.

Stdout carries the protocol and nothing else: whatever else prints, in this process or in one that it starts, prints to
stderr. Nor does a child read from stdin what is meant for the server.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any, BinaryIO

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

LINE_BYTES = 8 << 20
"""Longest message that a client may send; a longer one is thrown away as it comes, and answered as one that cannot be
read."""
_TOO_LONG = "(longer than a message may be)"


@dataclass(frozen=True)
class Pipes:
    """The process's own stdin and stdout, which nobody else has any more."""

    received: BinaryIO
    sent: BinaryIO


def claim_pipes() -> Pipes:
    """Takes stdin and stdout for the protocol, down to the file descriptors, for the rest of the process's life."""
    sys.stdout.flush()
    pipes = Pipes(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return pipes


def serve_stdio(server: "Server[object, object]", pipes: Pipes) -> None:
    """Serves until the client closes the pipe, or SIGTERM; calls that go on then are cancelled.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    with suppress(asyncio.CancelledError):  # SIGTERM
        asyncio.run(_serve(server, pipes))


async def _serve(server: "Server[object, object]", pipes: Pipes) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    # The SDK iterates over lines and writes text, whatever is behind them.
    lines: Any = _lines(pipes.received)
    written = anyio.wrap_file(TextIOWrapper(pipes.sent, encoding="utf-8", errors="replace"))
    async with stdio_server(stdin=lines, stdout=written) as (received, sent):
        await server.run(received, sent, server.create_initialization_options())


async def _lines(file: BinaryIO) -> AsyncIterator[str]:
    """The lines of `file`, read by a daemon thread: a read that waits can be left behind, and the process can end."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=16)

    def read() -> None:
        with suppress(RuntimeError, OSError, ValueError):  # the loop has ended meanwhile, or the pipe
            while True:
                line = _line(file)
                asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
                if line is None:
                    return

    threading.Thread(target=read, daemon=True, name="ratchet-mcp-stdin").start()
    while (line := await queue.get()) is not None:
        yield line


def _line(file: BinaryIO) -> str | None:
    """The next line, or what stands for one that is too long; `None` at the end."""
    line = file.readline(LINE_BYTES)
    if not line:
        return None
    if not line.endswith(b"\n") and len(line) == LINE_BYTES:
        while (rest := file.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        return _TOO_LONG
    return line.decode("utf-8", "replace")
