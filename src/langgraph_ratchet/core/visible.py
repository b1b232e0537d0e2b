"""Text that others wrote, made safe to look at: what would move a cursor or turn a line around is written out."""

import re

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Everything that is not shown as itself, but tab and line feed; the directions that can reorder a line too."""


def visible(text: str) -> str:
    """`text` with control codes, marks of direction and lone surrogates as hexadecimal, and plain line ends."""
    return _UNSEEN.sub(_written_out, text.replace("\r\n", "\n"))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
