"""The event loop that sessions live on: one for the process, in a thread of its own, started when it is needed.

A session must outlive the call that opened it, and calls come from threads and from event loops that come and go.
"""

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from langgraph_ratchet.tools.mcp.groups import GROUPS

T = TypeVar("T")

_CLOSING_S = 5.0


class Closable(Protocol):
    """What lives on the loop."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Ends it."""
        ...


class _Background:
    """The loop of this process, and what lives on it."""

    def __init__(self) -> None:
        self.forget()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Has `work` done on the loop."""
        with self._turn:
            if not self._loops:
                self._loops.append(asyncio.new_event_loop())
                threading.Thread(target=self._loops[0].run_forever, daemon=True, name="ratchet-mcp").start()
            return asyncio.run_coroutine_threadsafe(work, self._loops[0])

    def keep(self, living: Closable) -> None:
        """Closes `living` when the process ends."""
        self._living.add(living)

    def end(self) -> None:
        """Closes all that lives; what does not close in time is killed."""
        living = list(self._living)
        if living:
            with suppress(Exception):
                self.submit(_close(living)).result(_CLOSING_S)
        GROUPS.close()

    def forget(self) -> None:
        """Starts with nothing; after a fork the thread is the parent's, and so is all that lives on its loop."""
        self._turn = threading.RLock()  # what is collected within `submit` is closed by `submit`
        self._loops: list[asyncio.AbstractEventLoop] = []
        """One at most."""
        self._living: weakref.WeakSet[Any] = weakref.WeakSet()


async def _close(living: list[Closable]) -> None:
    await asyncio.gather(*(each.close() for each in living), return_exceptions=True)


BACKGROUND = _Background()
"""The one of this process."""
atexit.register(BACKGROUND.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=BACKGROUND.forget)
