r"""Grades numbers: `18`, `1,234.50`, `-3/4`, `2.5e3`.

Strict: the stripped answer is the number alone. Lenient: the last number in the text is the right one; currency
signs and units are passed over, and these are read as what they mean: thousands separators, `1 3/4` and `½`,
`3 × 10^8`, `\frac{3}{4}`, `2 million`, and `50%` as 50 or as 0.5, since a key may mean either. Only ASCII and
full-width digits count.

Arguments of the key: `tolerance`, the absolute difference that is still right (default 0). Without it integers must
be equal, and other numbers agree to nine digits, since tools print 0.30000000000000004.
"""

import re
from collections import deque
from fractions import Fraction
from typing import NamedTuple

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading.judgement import Judgement, shown
from langgraph_ratchet.grading.reading import last_part

VERSION = 1

GOLD = (
    AnswerKey(value="18", grader="number"),
    AnswerKey(value="-3/4", grader="number"),
    AnswerKey(value="1,234.5", grader="number"),
    AnswerKey(value="50%", grader="number"),
    AnswerKey(value="3.14", grader="number", arguments={"tolerance": 0.01}),
)

# A number of more digits is no answer, and arithmetic on it would take the worker's time.
_MAX_DIGITS = 400
_MAX_EXPONENT = 400
_RELATIVE = Fraction(1, 10**9)

_SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}

_SPELLING = str.maketrans(
    {
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
        **dict.fromkeys("\u2212\u2012\u2013\u2014\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2044\u2215\uff0f", "/"),
        **dict(zip("\uff0e\uff0c\uff0b\uff05\uff04\u00a0", ".,+%$ ", strict=True)),
        "½": " 1/2",
        "⅓": " 1/3",
        "⅔": " 2/3",
        "¼": " 1/4",
        "¾": " 3/4",
    }
)

_LATEX = ((re.compile(r"\\[dt]?frac\s?\{(-?\d{1,9})\}\s?\{(\d{1,9})\}"), r" \1/\2 "), (re.compile(r"\\([%$])"), r"\1"))

# Quantifiers are possessive where they can be, so that no input makes the search more than linear.
_DIGITS = r"(?:[0-9]{1,3}(?:[,_'\u202f\u2009][0-9]{3})++(?![0-9])|[0-9]++)"
_NUMBER = re.compile(
    rf"""
    (?<![\w^])(?<![0-9]\.)(?<!\^\{{)                # not within a word, a version or an exponent
    (?<![0-9)]\*\*)(?<![0-9)]\s\*\*\s)
    (?P<sign>(?<![)%])[-+])?(?:[$€£¥]\s?(?P<inner>[-+])?)?
    (?:
        (?:(?P<whole>[0-9]{{1,9}}+)\s)?(?<![0-9]/)(?P<over>[0-9]{{1,400}}+)\s?/\s?(?P<under>[0-9]{{1,400}}+)(?!\s?/\s?[0-9])
      | (?P<plain>{_DIGITS}(?:\.[0-9]++)?+|\.[0-9]++)
        (?:
            e(?P<exponent>[-+]?[0-9]{{1,4}}+)
          | \s?(?:[x×*]|\\times|\\cdot)\s?10(?:\^|\*\*)\{{?(?P<power>[-+]?[0-9]{{1,4}}+)\}}?
        )?+
    )
    (?![.]?[0-9])(?![²³¹⁰⁴-⁹])                     # not the start of a version, nor the base of a power
    (?!\s?\^|\*\*[-+]?[0-9]|\s\*\*\s[0-9])
    (?:\s?(?P<percent>%|per\s?cent\b)|\s(?P<scale>hundred|thousand|million|billion|trillion|dozen)\b)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ALONE = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+|[-+]?[0-9]+/[0-9]+"
)


class _Reading(NamedTuple):
    value: Fraction
    percent: bool


def judge(key: AnswerKey, answer: str) -> Judgement:
    """Whether the number that `answer` gives is the key's.

    Raises:
        BadInputError: the key's value is not a number, or its tolerance is not a number of at least 0.
    """
    wanted = _read(key.value)
    if wanted is None:
        raise BadInputError(f"the key's value {shown(key.value)} is not a number")
    tolerance = _tolerance(key)
    given = answer.strip()
    read = _read(last_part(given))
    if read is None:
        return Judgement(strict=False, lenient=False, reason=f"no number to read; wanted {shown(key.value)}")
    if not any(_agree(one, other, tolerance) for one, other in _meanings(read, wanted)):
        reason = f"the last number is {_shown(read)}, wanted {shown(key.value)}"
        return Judgement(strict=False, lenient=False, reason=reason)
    alone = given == key.value.strip() or _ALONE.fullmatch(given) is not None
    return Judgement(strict=alone, lenient=True, reason=f"the last number is {_shown(read)}, as wanted")


def _read(text: str) -> _Reading | None:
    """The last number in `text`; `None` when there is none that can be an answer."""
    text = text.translate(_SPELLING)
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    last = deque(_NUMBER.finditer(text), maxlen=1)
    return _value(last[0]) if last else None


def _value(found: re.Match[str]) -> _Reading | None:
    if len(found[0]) > _MAX_DIGITS:
        return None
    if found["over"] is not None:
        if int(found["under"]) == 0:
            return None
        value = Fraction(int(found["over"]), int(found["under"]))
        value += int(found["whole"]) if found["whole"] and value < 1 else 0
    else:
        exponent = int(found["exponent"] or found["power"] or 0)
        if abs(exponent) > _MAX_EXPONENT:
            return None
        value = Fraction(re.sub(r"[^0-9.]", "", found["plain"])) * Fraction(10) ** exponent
    value *= _SCALES[found["scale"].lower()] if found["scale"] else 1
    negative = (found["sign"] or found["inner"]) == "-"
    return _Reading(value=-value if negative else value, percent=found["percent"] is not None)


def _meanings(read: _Reading, wanted: _Reading) -> list[tuple[Fraction, Fraction]]:
    """Pairs of values, one of which must agree: a percentage on one side only is its number or a hundredth of it."""
    pairs = [(read.value, wanted.value)]
    if read.percent and not wanted.percent:
        pairs.append((read.value / 100, wanted.value))
    if wanted.percent and not read.percent:
        pairs.append((read.value, wanted.value / 100))
    return pairs


def _agree(one: Fraction, other: Fraction, tolerance: Fraction | None) -> bool:
    if tolerance is not None:
        return abs(one - other) <= tolerance
    if one.denominator == other.denominator == 1:
        return one == other
    return abs(one - other) <= _RELATIVE * max(abs(one), abs(other))


def _tolerance(key: AnswerKey) -> Fraction | None:
    tolerance = key.arguments.get("tolerance")
    if tolerance is None:
        return None
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < float("inf"):
        raise BadInputError(f"the key's tolerance is {tolerance!r}, wanted a number of at least 0")
    # Through its decimal text: a tolerance of 0.01 means a hundredth, not the binary fraction next to it.
    return Fraction(str(tolerance))


def _shown(read: _Reading) -> str:
    value = read.value
    text = str(value) if len(str(value)) <= 24 else f"{float(value):.6g}" if abs(value) < 10**300 else "very large"
    return text + ("%" if read.percent else "")
