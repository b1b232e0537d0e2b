"""What the server takes from its clients: how much, how many at once, and for how long it waits."""

from dataclasses import dataclass, fields

from langgraph_ratchet.core.errors import BadInputError


@dataclass(frozen=True)
class Limits:
    """Every bound that the server keeps. All are more than 0; `None` is no bound of the server's own.

    Raises:
        BadInputError: a bound is 0 or less.
    """

    body_bytes: int = 8 << 20
    """Largest body of a request; one byte more is answered 413 while it is still being sent."""
    messages: int = 2_000
    """Most messages of one request."""
    choices: int = 16
    """Most choices (`n`) of one request."""
    tokens: int | None = None
    """Most tokens that one request may ask for; the model's context bounds them in any case."""
    running: int = 256
    """Requests that are answered at the same time, open streams among them."""
    waiting: int = 256
    """Requests that wait for a place; one more is answered 429 at once."""
    wait_seconds: float = 10.0
    """Longest wait for a place; then 429."""
    header_seconds: float = 10.0
    """Longest time from a connection's first byte to the end of a request's headers."""
    body_seconds: float = 30.0
    """Longest time from a request's headers to the end of its body; then 408."""
    answer_seconds: float = 600.0
    """Longest time from the end of a request's body to the end of its answer; then 503, or an error in the stream."""
    write_seconds: float = 60.0
    """Longest wait for a client that does not read; then its connection is closed and its generation cancelled."""
    drain_seconds: float = 30.0
    """Longest wait for what is running when the server is told to stop."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value <= 0:
                raise BadInputError(f"the limit {field.name} is {value}; it must be more than 0")
