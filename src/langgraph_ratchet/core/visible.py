"""What people look at: text that others wrote, with what would move a cursor written out; shares and counts."""

import re

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Everything that is not shown as itself, but tab and line feed; the directions that can reorder a line too."""


def visible(text: str) -> str:
    """`text` with control codes, marks of direction and lone surrogates as hexadecimal, and plain line ends."""
    return _UNSEEN.sub(_written_out, text.replace("\r\n", "\n"))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def percent(share: float | None) -> str:
    """A share of 1 as `97 %`; it says 0 % and 100 % only of exactly that, and nothing of what was not measured."""
    if share is None:
        return "–"
    if 0.0 < share < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= share < 1.0 else f"{100 * share:.0f} %"


def counted(number: int, thing: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
