"""HTTP connections that give up on clients that neither go on nor go away.

uvicorn closes a connection that is idle between two requests. These close also one whose headers never end, one whose
body goes on after it was refused, and one whose client does not read.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from langgraph_ratchet.serving.limits import Limits

_HEADER_BYTES = 64 << 10


def connections_within(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol class for uvicorn, with `limits` on how long it waits for a client."""

    class Connection(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # which one it is depends on what is installed
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._reading: asyncio.TimerHandle | None = None
            self._writing: asyncio.TimerHandle | None = None
            self._header_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._await_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.is_closing():
                return
            if not self._is_between_requests:
                self._stop_reading_timer()
                self._header_bytes = 0
            elif self.cycle is not None and self.cycle.more_body:  # refused, and still being sent: it is thrown away
                self._reading = self._reading or self._later(limits.body_seconds)
            else:
                self._header_bytes += len(data)
                if self._header_bytes > _HEADER_BYTES:
                    self._give_up()
                self._await_headers()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._writing = self._writing or self._later(limits.write_seconds)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._writing is not None:
                self._writing.cancel()
                self._writing = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_reading_timer()
            if self._writing is not None:
                self._writing.cancel()
            super().connection_lost(exc)

        @property
        def _is_between_requests(self) -> bool:
            return self.cycle is None or bool(self.cycle.response_complete)

        def _await_headers(self) -> None:
            self._reading = self._reading or self._later(limits.header_seconds)

        def _later(self, seconds: float) -> asyncio.TimerHandle:
            timer: asyncio.TimerHandle = self.loop.call_later(seconds, self._give_up)
            return timer

        def _stop_reading_timer(self) -> None:
            if self._reading is not None:
                self._reading.cancel()
                self._reading = None

        def _give_up(self) -> None:
            self.transport.abort()  # `close` would wait for a client that does not read

    return Connection
