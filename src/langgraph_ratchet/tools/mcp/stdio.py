"""A session's messages over the standard input and output of a program, which is ended with all it has started.

The SDK's own transport keeps a line of any length in memory, gives the program part of this process's environment, and
leaves what the program has started alive once the program itself has ended.
"""

import asyncio
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCMessage
from pydantic import ValidationError

from langgraph_ratchet.core.visible import visible
from langgraph_ratchet.tools.mcp.budget import MESSAGE_BYTES, Budget, TooMuchError
from langgraph_ratchet.tools.mcp.config import StdioServer
from langgraph_ratchet.tools.mcp.groups import GROUPS, send

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]

_GRACE_S = 1.0
"""For a program to end after its input has ended, and again after SIGTERM."""
_LOOK_S = 0.25
"""How often it is looked at whether a program has ended whose output is still open."""
_LAST_WORDS_S = 0.05
_STDERR_BYTES = 2_000
"""Of what a program writes beside its messages, the last ones are kept for an error's text."""


@asynccontextmanager
async def stdio_messages(
    server: StdioServer, budget: Budget, over: Callable[[str], None], failed: Callable[[], bool]
) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Starts the program and gives the two streams of a session; at the end its process group is gone.

    Args:
        server: what to start.
        budget: what it may send.
        over: told why no message can come any more.
        failed: whether the session ends because something went wrong, so that the program gets no time to end.

    Raises:
        OSError: the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        server.program,
        *server.args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(server.env),
        cwd=server.cwd,
        limit=MESSAGE_BYTES,  # the reader stops reading the pipe at twice as much
        start_new_session=True,
    )
    GROUPS.add(process.pid)
    into, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, out_of = anyio.create_memory_object_stream[SessionMessage](0)
    said: deque[int] = deque(maxlen=_STDERR_BYTES)
    reader = asyncio.ensure_future(_read(process, into, budget))
    others = (_keep_stderr(process, said), _write(process, out_of), _watch(process, reader, over, said))
    tasks = [reader, *(asyncio.ensure_future(work) for work in others)]
    try:
        yield incoming, outgoing
    finally:
        with anyio.CancelScope(shield=True):
            try:
                if not failed():
                    await _end(process)
            finally:
                GROUPS.kill(process.pid)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await _discard(process)
                for stream in (into, incoming, outgoing, out_of):
                    stream.close()


async def _read(
    process: asyncio.subprocess.Process, into: MemoryObjectSendStream[SessionMessage | Exception], budget: Budget
) -> None:
    """Passes messages on until the program's output ends or it has sent too much."""
    assert process.stdout is not None
    with suppress(TooMuchError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            try:
                line = await process.stdout.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                budget.exceeded(f"it sent a line of more than {MESSAGE_BYTES} bytes")
            except asyncio.IncompleteReadError:
                return
            budget.receive(len(line))
            if line.strip():
                await into.send(_message(line))


async def _watch(
    process: asyncio.subprocess.Process, reader: "asyncio.Future[None]", over: Callable[[str], None], said: deque[int]
) -> None:
    """Tells when the program has ended, also if what it has started holds its output open."""
    while process.returncode is None and not reader.done():
        await asyncio.wait({reader}, timeout=_LOOK_S)
    # A status and last words come by other ways, and may be a moment late.
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _LAST_WORDS_S)
    await asyncio.sleep(_LAST_WORDS_S)
    over(_ended(process.returncode, bytes(said)))


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(JSONRPCMessage.model_validate_json(line))
    except (ValidationError, ValueError, RecursionError):
        return ValueError(repr(line[:80]))


async def _write(process: asyncio.subprocess.Process, out_of: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # the reader sees the end of the program
        async for message in out_of:
            text = message.message.model_dump_json(by_alias=True, exclude_none=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()


async def _keep_stderr(process: asyncio.subprocess.Process, said: deque[int]) -> None:
    assert process.stderr is not None
    while chunk := await process.stderr.read(1 << 16):
        said.extend(chunk)


def _ended(status: int | None, said: bytes) -> str:
    """Why no message comes any more."""
    how = "its output ended" if status is None else f"it ended with status {status}"
    words = " ".join(visible(said.decode(errors="replace")).split())
    hint = "; its environment holds only what env names" if not words or status == 127 else ""
    return how + (f" and said: {words[-300:]}" if words else "") + hint


async def _end(process: asyncio.subprocess.Process) -> None:
    """Lets the program end by itself, then asks it to."""
    assert process.stdin is not None
    process.stdin.close()
    for number in (None, signal.SIGTERM):
        if number is not None:
            send(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_S)
            return


async def _discard(process: asyncio.subprocess.Process) -> None:
    """Waits for the killed program, and closes its pipes, which what has left its group may still hold."""
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _GRACE_S)
    # asyncio has no public way to close them; else they stay open as long as the other end does.
    process._transport.close()  # type: ignore[attr-defined]
