"""Figures as people read them."""

from datetime import UTC, datetime

from langgraph_ratchet.core.accuracy import Accuracy
from langgraph_ratchet.core.visible import counted, visible


def cut(text: str, limit: int) -> str:
    """`text` fit to be looked at, and at most `limit` characters of it."""
    shown = visible(text[:limit])
    return shown if len(text) <= limit else f"{shown} … ({counted(len(text) - limit, 'character')} more)"


def interval(accuracy: Accuracy) -> str:
    """The 95 % interval as `57–65 %`."""
    low, high = accuracy.interval
    return f"{100 * low:.0f}–{100 * high:.0f} %"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def chance(p_value: float) -> str:
    """A probability in words: `once in 250`, `once in a million`, `less than once in a million`, `3 times in 10`."""
    if p_value >= 0.15:
        return f"{round(10 * p_value)} times in 10"
    if p_value < 1e-6:
        return "less than once in a million"
    odds = 1 / p_value
    return f"once in {odds:.0f}" if odds < 1000 else f"once in {round(odds, -3):,.0f}"


def number(value: float | None) -> str:
    """A figure with as many decimals as it deserves; `–` when it was not measured."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.2f}"


def plain(value: float | None) -> str:
    """A figure without rounding it away: `0.027`, `2.4 × 10⁻⁴⁰`; `–` when it was not measured."""
    if value is None:
        return "–"
    if 0 < abs(value) < 0.001:
        digits, _, exponent = f"{value:.1e}".partition("e")
        return f"{digits} × 10{str(int(exponent)).translate(_RAISED)}"
    return f"{value:.3f}".rstrip("0").rstrip(".").replace("-", "−")


def points(share: float | None) -> str:
    """A difference of accuracies: `+34.9 points`."""
    return "–" if share is None else f"{100 * share:+.1f} points".replace("-", "−")


def moment(unix_seconds: float) -> str:
    """Date and time to the minute, in UTC: a page travels."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%-d %B %Y, %H:%M UTC")


def duration(seconds: float) -> str:
    """`42 s`, `3 min`, `1.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
