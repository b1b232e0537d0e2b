"""Runs an application on a socket until it is told to stop, and then lets what runs come to its end."""

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.serving.connection import connections_within
from langgraph_ratchet.serving.drain import Drain
from langgraph_ratchet.serving.limits import Limits

_CUT_SECONDS = 1
"""What is left of a connection when the drain has taken as long as it may."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 picks a free one.

    Raises:
        BadInputError: the address cannot be used; it says why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInputError(
            f"the server cannot listen on {host} port {port}: {reason}. Choose another one with --port (0 picks a free "
            "one) or --host"
        ) from error


def address_of(listener: socket.socket) -> str:
    """The socket's address as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn, which drains when it is told to stop: by `stop`, SIGTERM or SIGINT.

    The first signal begins the drain, the second ends it at once.

    Args:
        app: what to run.
        listener: where it listens.
        limits: of connections and of the drain.
        drain: that the application counts its requests in.
        load: what is to be done before the server is ready; requests for health are answered meanwhile.
        on_ready: called when that is done.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        limits: Limits,
        drain: Drain,
        load: Callable[[], Awaitable[object]],
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=connections_within(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_CUT_SECONDS,
        )
        super().__init__(config)
        self._listener = listener
        self._limits = limits
        self._drain = drain
        self._load = load
        self._on_ready = on_ready
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: Exception | None = None
        self._cut_off = 0
        self._exiting = asyncio.Event()
        logging.getLogger("uvicorn.error").addFilter(_is_worth_saying)

    def run_until_stopped(self) -> bool:
        """Serves; whether every request that had begun came to its end.

        Raises:
            Exception: what `load` raised; the server has stopped then.
        """
        self.run(sockets=[self._listener])
        if self._failure is not None:
            raise self._failure
        return not self._cut_off

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen, and to load."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._tasks.append(self._loop.create_task(self._get_ready()))

    async def main_loop(self) -> None:
        """Waits for the end; uvicorn's own would look for it ten times a second."""
        while not await self.on_tick(0):  # which sets the date of responses
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._exiting.wait()

    def stop(self) -> None:
        """Begins the drain; from any thread."""
        self._loop.call_soon_threadsafe(self._begin_drain)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes signals as a wish to drain; uvicorn's own handling would end the process by the signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        handled = (signal.SIGINT, signal.SIGTERM)
        for number in handled:
            loop.add_signal_handler(number, self._begin_drain)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    async def _get_ready(self) -> None:
        try:
            await self._load()
        except Exception as error:
            self._failure = error
            self._exit()
        else:
            # What has been loaded stays: to look through it again and again would hold up requests.
            gc.freeze()
            self._on_ready()

    def _begin_drain(self) -> None:
        if self._drain.begun:
            self._exit()
            return
        self._drain.begin()
        self._tasks.append(self._loop.create_task(self._finish()))

    async def _finish(self) -> None:
        await self._drain.done(self._limits.drain_seconds)
        self._exit()

    def _exit(self) -> None:
        if not self.should_exit:
            self._cut_off = self._drain.running
            self.should_exit = True
            self._exiting.set()


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """Not what uvicorn says of requests that were cut off on purpose."""
    cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and not record.getMessage().startswith("Cancel ")
