"""How much a server may send: in one message, and from one call to the next."""

from collections.abc import Callable

MESSAGE_BYTES = 4 << 20
"""Of one message: a line over stdio; a body, or an event, over HTTP."""
CALL_BYTES = 4 * MESSAGE_BYTES
"""Of all that comes from the beginning of one call to that of the next."""
CALL_MESSAGES = 10_000
"""Messages from the beginning of one call to that of the next."""


class TooMuchError(Exception):
    """The server has sent more than it may; its session is over."""


class Budget:
    """What one session may still receive.

    Args:
        over: told, once, why the session ends.
    """

    def __init__(self, over: Callable[[str], None]) -> None:
        self._over = over
        self.renew()

    def renew(self) -> None:
        """A call begins."""
        self._bytes = CALL_BYTES
        self._messages = CALL_MESSAGES

    def receive(self, count: int) -> None:
        """Takes `count` bytes off.

        Raises:
            TooMuchError: there were not that many left.
        """
        self._bytes -= count
        if self._bytes < 0:
            self.exceeded(f"it sent more than {CALL_BYTES} bytes")

    def message(self) -> None:
        """Takes a message off.

        Raises:
            TooMuchError: there was none left.
        """
        self._messages -= 1
        if self._messages < 0:
            self.exceeded(f"it sent more than {CALL_MESSAGES} messages")

    def exceeded(self, why: str) -> None:
        """Ends the session.

        Raises:
            TooMuchError: always.
        """
        self._over(why)
        raise TooMuchError(why)
