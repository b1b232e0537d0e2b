"""Regular expressions for the decimal numbers between two bounds."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

ANY_INTEGER = r"-?(0|[1-9][0-9]{0,14})"
ANY_NUMBER = r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?([eE][-+]?[0-9]{1,2})?"
LARGEST = Decimal(10**15 - 1)
"""Largest magnitude where the schema sets no bound: every integer up to it is exact as a double."""
LONGEST_NUMBER = 34
"""Characters of the longest number that `ANY_NUMBER` matches: sign, 15 digits, point, 12 digits, `e-99`, and one."""


def between(low: Decimal, high: Decimal, decimals: int) -> str | None:
    """A regular expression for the JSON numbers from `low` to `high` with at most `decimals` digits after the point.

    Returns:
        The expression, in the syntax that Rust, Python and Lark share; `None` if there is no such number.
    """
    unit = Decimal(1).scaleb(-decimals)
    low, high = low.quantize(unit, ROUND_CEILING), high.quantize(unit, ROUND_FLOOR)
    if low > high:
        return None
    parts = []
    if low < 0:
        parts.append("-" + _magnitudes(-high if high < 0 else unit, -low, decimals))
    if high >= 0:
        parts.append(_magnitudes(max(low, Decimal(0)), high, decimals))
    return f"({'|'.join(parts)})"


def _magnitudes(low: Decimal, high: Decimal, decimals: int) -> str:
    """Numbers from `low` to `high`, neither below 0."""
    low_whole, low_part = _split(low, decimals)
    high_whole, high_part = _split(high, decimals)
    if low_whole == high_whole:
        return low_whole + _fraction(low_part, high_part)
    zeros, nines = "0" * decimals, "9" * decimals
    parts = [low_whole + _fraction(low_part, nines), high_whole + _fraction(zeros, high_part)]
    if int(low_whole) + 1 < int(high_whole):
        parts.append(_integers(int(low_whole) + 1, int(high_whole) - 1) + _fraction(zeros, nines))
    return f"({'|'.join(parts)})"


def _split(number: Decimal, decimals: int) -> tuple[str, str]:
    digits = str(int(number.scaleb(decimals))).zfill(decimals + 1)
    return (digits[:-decimals], digits[-decimals:]) if decimals else (digits, "")


def _fraction(low: str, high: str) -> str:
    """What may follow the whole part; digits that are not written are zeros."""
    if not high.strip("0"):
        return ""
    return rf"(\.{_digits(low, high)})" + ("" if low.strip("0") else "?")


def _digits(low: str, high: str) -> str:
    """One or more digits, no more than `low` has, that with zeros behind them lie between `low` and `high`."""
    more = len(low) - 1
    if not low.strip("0") and not high.strip("9"):
        return f"[0-9]{{1,{len(low)}}}"
    parts = []
    for digit in range(int(low[0]), int(high[0]) + 1):
        rest_low = low[1:] if digit == int(low[0]) else "0" * more
        rest_high = high[1:] if digit == int(high[0]) else "9" * more
        rest = ""
        if more:
            rest = _digits(rest_low, rest_high)
            rest = f"({rest})" + ("" if rest_low.strip("0") else "?")
        parts.append(f"{digit}{rest}")
    return f"({'|'.join(parts)})"


def _integers(low: int, high: int) -> str:
    """Whole numbers from `low` to `high`, neither below 0."""
    parts = []
    for length in range(len(str(low)), len(str(high)) + 1):
        smallest = max(low, 10 ** (length - 1) if length > 1 else 0)
        largest = min(high, 10**length - 1)
        parts.append(_same_length(str(smallest), str(largest)))
    return f"({'|'.join(parts)})"


def _same_length(low: str, high: str) -> str:
    rest = len(low) - 1
    if not rest:
        return f"[{low}-{high}]"
    first, last = int(low[0]), int(high[0])
    if first == last:
        return low[0] + _same_length(low[1:], high[1:])
    parts = []
    if low[1:].strip("0"):
        parts.append(low[0] + _same_length(low[1:], "9" * rest))
        first += 1
    if high[1:].strip("9"):
        parts.append(high[0] + _same_length("0" * rest, high[1:]))
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}][0-9]{{{rest}}}")
    return f"({'|'.join(parts)})"
