"""The end of a server: no new requests, and those that run come to theirs."""

import asyncio


class Drain:
    """Counts the requests that run, and says when the last has ended. One event loop owns it."""

    def __init__(self) -> None:
        self.running = 0
        """Requests that have begun and not ended; a stream ends with its last byte."""
        self.begun = False
        """Whether the server is about to stop."""
        self._empty = asyncio.Event()
        self._empty.set()

    def begin(self) -> None:
        """From now on new requests are refused."""
        self.begun = True

    def __enter__(self) -> None:
        self.running += 1
        self._empty.clear()

    def __exit__(self, *_: object) -> None:
        self.running -= 1
        if not self.running:
            self._empty.set()

    async def done(self, seconds: float) -> bool:
        """Waits until nothing runs, at most `seconds`; whether nothing does."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
