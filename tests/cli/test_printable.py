"""What a terminal is sent."""

import time

import pytest

from langgraph_ratchet.cli.printable import moment, one_line, printable, short_id
from langgraph_ratchet.core.visible import counted, percent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe → 3\n\tnext", "Größe → 3\n\tnext"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("over\rwritten", "over\\x0dwritten"),
        ("two\r\nlines", "two\nlines"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("lone \ud83d", "lone \\ud83d"),
        ("c1 \x9b2J", "c1 \\x9b2J"),
    ],
)
def test_control_codes_are_shown_and_not_sent(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    shown = printable("a" * 5_000, limit=10)
    assert shown == "a" * 10 + " … [4,990 characters more: see --json]"
    assert printable("a" * 10, limit=10) == "a" * 10


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n b\x1b ") == "a b\\x1b"
    assert one_line("a" * 400, limit=5) == "aaaa…"
    assert one_line("aaaaa", limit=5) == "aaaaa"


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "–"), (0.0, "0 %"), (0.001, "< 1 %"), (0.5, "50 %"), (0.994, "99 %"), (0.999, "> 99 %"), (1.0, "100 %")],
)
def test_nearly_all_is_not_all(share: float | None, shown: str) -> None:
    assert percent(share) == shown


def test_ids_moments_and_counts() -> None:
    assert short_id("trace_0123456789abcdef") == "trace_01234567"
    assert short_id("v_01") == "v_01"
    assert moment(time.mktime((2026, 1, 2, 13, 4, 0, 0, 0, -1))) == "2026-01-02 13:04"
    assert (counted(1, "call"), counted(1_000, "call")) == ("1 call", "1,000 calls")
