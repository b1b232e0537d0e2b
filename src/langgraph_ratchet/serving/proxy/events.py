"""Server-sent events as bytes: cut out of a stream, and read."""

from typing import Any

import orjson

DONE = b"[DONE]"
"""Data of the event that ends a stream of OpenAI's."""


class EventCutter:
    """Cuts a stream of bytes into whole events, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that `piece` completes, each with the empty line that ends it."""
        self._rest += piece
        events = []
        while (found := _end(self._rest)) is not None:
            events.append(self._rest[:found])
            self._rest = self._rest[found:]
        return events

    def rest(self) -> bytes:
        """What has come of an event that is not whole yet; it is forgotten here."""
        rest, self._rest = self._rest, b""
        return rest


def _end(data: bytes) -> int | None:
    """Where the first event in `data` ends; `None` when it does not."""
    ends = [at + len(mark) for mark in (b"\n\n", b"\r\n\r\n", b"\r\r") if (at := data.find(mark)) >= 0]
    return min(ends, default=None)


def data_of(event: bytes) -> bytes | None:
    """The event's data, its lines joined; `None` for a comment or an event without data."""
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def json_of(event: bytes) -> dict[str, Any] | None:
    """The JSON object in the event's data; `None` when there is none, as in the last event."""
    data = data_of(event)
    if data is None or data == DONE:
        return None
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def event_of(value: dict[str, Any]) -> bytes:
    """An event whose data is `value`."""
    return b"data: " + orjson.dumps(value) + b"\n\n"
