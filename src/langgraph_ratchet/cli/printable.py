"""Text and figures as a terminal shows them.

What comes from models and tools may hold control codes that would move the cursor or repaint the screen; they are
shown, not sent.
"""

from datetime import datetime

from langgraph_ratchet.core.visible import visible

SHOWN_CHARS = 2_000
"""Of a text on a terminal, unless all of it is wanted."""
_ID_CHARS = 8


def printable(text: str, *, limit: int | None = SHOWN_CHARS) -> str:
    """`text` with control codes written out as hexadecimal, and at most `limit` characters of it (`None`: all)."""
    shown = visible(text[:limit])
    return (
        shown
        if limit is None or len(text) <= limit
        else f"{shown} … [{len(text) - limit:,} characters more: see --json]"
    )


def one_line(text: str, *, limit: int = 300) -> str:
    """`printable` text in one line, cut with an ellipsis."""
    words = " ".join(printable(text[: limit + 1], limit=limit + 1).split())
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def short_id(id_: str) -> str:
    """The beginning of an id, long enough to ask for it by: `trace_0a1b2c3d`."""
    prefix, separator, digits = id_.rpartition("_")
    return f"{prefix}{separator}{digits[:_ID_CHARS]}"


def moment(unix_seconds: float) -> str:
    """Local date and time to the minute."""
    return datetime.fromtimestamp(unix_seconds).astimezone().strftime("%Y-%m-%d %H:%M")
