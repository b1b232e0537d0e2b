"""From the engine's thread to whoever waits: tokens as they come, and submissions that a cancelled task takes back."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from langchain_core.runnables.config import run_in_executor

from langgraph_ratchet.chat_models.calls.call import Call, cancel

if TYPE_CHECKING:
    from concurrent.futures import Future

    from langgraph_ratchet.chat_models.engine import Completion, Token


def completions(call: Call) -> "list[Completion]":
    """All completions of a call. An interrupted caller's rows leave the batch."""
    futures = call.submit()
    try:
        return [future.result(call.left_s) for future in futures]
    except TimeoutError:
        raise call.late from None
    finally:
        cancel(futures)


async def acompletions(prepare: Callable[[], Call]) -> "tuple[Call, list[Completion]]":
    """As `completions`; the call is made ready in a thread, because that reads files, and waiting needs none."""
    call, futures = await _submitted(prepare, None, None)
    try:
        async with asyncio.timeout(call.left_s):
            return call, list(await asyncio.gather(*map(asyncio.wrap_future, futures)))
    except TimeoutError:
        raise call.late from None
    finally:
        cancel(futures)


def arrivals(call: Call) -> "Generator[list[Token] | Completion, None, None]":
    """The tokens of a call's first completion, as many at once as have come, and then the completion.

    Whoever stops listening cancels the request.
    """
    queue: SimpleQueue[Token | None] = SimpleQueue()
    (future,) = call.submit(queue.put, count=1)
    future.add_done_callback(lambda _: queue.put(None))
    try:
        ended = False
        while not ended:
            came = [queue.get(timeout=call.left_s)]
            while not queue.empty():
                came.append(queue.get())
            tokens = [token for token in came if token is not None]
            ended = len(tokens) < len(came)
            if tokens:
                yield tokens
        yield future.result()
    except Empty:
        raise call.late from None
    finally:
        future.cancel()


async def aarrivals(prepare: Callable[[], Call]) -> "AsyncGenerator[Call | list[Token] | Completion, None]":
    """As `arrivals`, in an event loop; first of all comes the call, made ready in a thread."""
    mailbox = _Mailbox(asyncio.get_running_loop())
    call, (future,) = await _submitted(prepare, mailbox.put, 1)
    future.add_done_callback(lambda _: mailbox.put(None))
    try:
        yield call
        ended = False
        while not ended:
            async with asyncio.timeout(call.left_s):
                came = await mailbox.take()
            tokens = [token for token in came if token is not None]
            ended = len(tokens) < len(came)
            if tokens:
                yield tokens
        yield future.result()
    except TimeoutError:
        raise call.late from None
    finally:
        future.cancel()


class _Mailbox:
    """What the engine's thread puts in and a task takes out. The loop is woken once for all that came meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._came: deque[Token | None] = deque()
        self._waking = False
        self._full = asyncio.Event()

    def put(self, token: "Token | None") -> None:
        """Adds one; from any thread."""
        self._came.append(token)
        if not self._waking:
            self._waking = True
            with suppress(RuntimeError):  # the loop was closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._wake)

    async def take(self) -> "list[Token | None]":
        """All that came since the last time; at least one."""
        await self._full.wait()
        self._full.clear()
        return [self._came.popleft() for _ in range(len(self._came))]

    def _wake(self) -> None:
        self._waking = False
        self._full.set()


async def _submitted(
    prepare: Callable[[], Call], on_token: "Callable[[Token], None] | None", count: int | None
) -> "tuple[Call, list[Future[Completion]]]":
    """Makes a call ready and submits it in a thread; if the task is cancelled meanwhile, takes it back."""
    made: list[Future[Completion]] = []
    gone = threading.Event()

    def submit() -> Call:
        call = prepare()
        made.extend(call.submit(on_token, count=count))
        if gone.is_set():
            cancel(made)
        return call

    try:
        return await run_in_executor(None, submit), made
    except asyncio.CancelledError:
        gone.set()
        cancel(made)
        raise
