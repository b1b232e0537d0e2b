"""JSON schemas of strings and numbers as parts of a reply, each of bounded length."""

import json
import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from langgraph_ratchet.chat_models.constrained.leaf import Leaf
from langgraph_ratchet.chat_models.constrained.nodes import FreeString, Literals, Node
from langgraph_ratchet.chat_models.constrained.numbers import ANY_INTEGER, ANY_NUMBER, LARGEST, LONGEST_NUMBER, between

_LENGTHS = (64, 512, 4096)
"""Characters that a string of a pattern may have where the schema sets no bound: the first at which there is one."""
_DECIMALS = 6
_MOST_DECIMALS = 12
_BOUNDS = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
_MOST_VALUES = 1000
"""Multiples that are listed one by one."""
_JSON_STRINGS = {"whitespace_flexible": False, "json_allowed_escapes": 'nrbtf\\"'}
"""Without `\\u`: with it a model can write half a surrogate pair."""

_YEAR = r"([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP = r"(([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][48]|[13579][26]|[2468]0)00)-02-29)"
_DATE = (
    rf"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    rf"|02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP})"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])"
_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,30}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL}){{0,4}}"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": r"P([0-9]{1,4}W|[0-9]{1,4}Y([0-9]{1,4}M)?([0-9]{1,4}D)?|[0-9]{1,4}M([0-9]{1,4}D)?"
    r"|([0-9]{1,5}D)?T([0-9]{1,5}H([0-9]{1,5}M)?([0-9]{1,5}S)?|[0-9]{1,5}M([0-9]{1,5}S)?|[0-9]{1,5}S)|[0-9]{1,5}D)",
    "email": rf"[A-Za-z0-9_+][-A-Za-z0-9_+]{{0,20}}(\.[A-Za-z0-9_+]{{1,20}}){{0,2}}"
    rf"@{_LABEL}(\.{_LABEL}){{0,2}}\.[A-Za-z]{{2,10}}",
    "hostname": _HOST,
    "ipv4": rf"{_BYTE}(\.{_BYTE}){{3}}",
    "ipv6": r"([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|::([0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,5})?",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "uri": rf"https?://{_HOST}(:[1-9][0-9]{{0,3}})?(/[-A-Za-z0-9._~!$&'()*+,;=:@/?]{{0,200}})?",
}
"""Patterns for the formats that are kept. JSON Schema takes a format as a remark; any other one is left out."""


def string_node(schema: dict[str, Any]) -> Node | None:
    """A string; `None` if nothing satisfies the schema.

    Raises:
        ValueError: a pattern is not supported.
    """
    shortest, longest = int(schema.get("minLength", 0)), schema.get("maxLength")
    if longest is not None and longest < shortest:
        return None
    patterns = [schema["pattern"]] if "pattern" in schema else []
    if schema.get("format") in _FORMATS:
        patterns.append(f"^({_FORMATS[schema['format']]})$")
    if not patterns:
        return FreeString(shortest, None if longest is None else int(longest))
    lengths = [max(shortest, length) for length in _LENGTHS] if longest is None else [int(longest)]
    for length in lengths:
        rule = {"type": "string", "minLength": shortest, "maxLength": length, "x-guidance": _JSON_STRINGS}
        rule["allOf"] = [{"pattern": pattern} for pattern in patterns]
        bytes_each = 2 if all(pattern.isascii() for pattern in patterns) else 4
        try:
            return leaf(f"%json {json.dumps(rule)}", bytes_each * length + 3, True)
        except ValueError as error:
            failure = error
    if "nsatisfiable" in str(failure) or "nothing satisfies" in str(failure):
        return None
    raise failure


def number_node(schema: dict[str, Any], *, whole: bool) -> Node | None:
    """A number; `None` if nothing satisfies the schema.

    Raises:
        ValueError: a keyword's value is not a number, or `multipleOf` is not above 0.
    """
    step = None if "multipleOf" not in schema else _exact(schema["multipleOf"])
    if step is not None and step <= 0:
        raise ValueError(f"multipleOf is {step}, and must be above 0")
    if step is None and not _BOUNDS & schema.keys():
        return leaf(f"/{ANY_INTEGER if whole else ANY_NUMBER}/", LONGEST_NUMBER, False)
    if step is not None and (whole or step == step.to_integral_value()):
        # The multiples of a fraction that are whole are those of its numerator.
        return _whole_multiples(Fraction(step).numerator, schema)
    if step is not None and step.normalize().as_tuple().digits != (1,):
        return _listed_multiples(step, schema)
    decimals = 0 if whole else _decimals(schema)
    if step is not None:
        decimals = min(decimals, -int(step.normalize().as_tuple().exponent))
    low, high = _range(schema, Decimal(1).scaleb(-decimals))
    pattern = between(low, high, decimals)
    return (
        None if pattern is None else leaf(f"/{pattern}/", LONGEST_NUMBER + max(low.adjusted(), high.adjusted()), False)
    )


@lru_cache(maxsize=512)
def leaf(lark: str, longest: int, quoted: bool) -> Leaf:
    """The leaf of an expression, which the schemas of a process share."""
    return Leaf(lark, longest, quoted)


def is_within(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a string or number, of an enumeration say, keeps a schema's bounds. Patterns are not looked at."""
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return True
    step = schema.get("multipleOf")
    return bool(
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and (step is None or _exact(value) % _exact(step) == 0)
    )


def _whole_multiples(step: int, schema: dict[str, Any]) -> Node | None:
    low, high = _range(schema, Decimal(1))
    if math.ceil(low / step) > math.floor(high / step):
        return None
    rule = {"type": "integer", "multipleOf": step, "minimum": math.ceil(low), "maximum": math.floor(high)}
    return leaf(f"%json {json.dumps(rule)}", _longest(low, high), False)


def _listed_multiples(step: Decimal, schema: dict[str, Any]) -> Node | None:
    """Multiples one by one; where there are too many, those nearest to zero."""
    low, high = _range(schema, step)
    first, last = math.ceil(low / step), math.floor(high / step)
    middle = min(max(first, 0), last)
    counts = range(max(first, middle - _MOST_VALUES // 2), min(last, middle + _MOST_VALUES // 2) + 1)
    texts = [f"{step * count:f}" for count in counts]
    return Literals(tuple(text.encode() for text in texts)) if texts else None


def _range(schema: dict[str, Any], unit: Decimal) -> tuple[Decimal, Decimal]:
    """The least and the greatest multiple of `unit` that keep the schema's bounds, or those set here."""
    lows = [_exact(schema["minimum"])] if "minimum" in schema else []
    highs = [_exact(schema["maximum"])] if "maximum" in schema else []
    if "exclusiveMinimum" in schema:
        lows.append((math.floor(_exact(schema["exclusiveMinimum"]) / unit) + 1) * unit)
    if "exclusiveMaximum" in schema:
        highs.append((math.ceil(_exact(schema["exclusiveMaximum"]) / unit) - 1) * unit)
    low, high = max(lows, default=None), min(highs, default=None)
    if low is None:
        low = min(-LARGEST, (high or 0) - LARGEST)
    return low, max(LARGEST, low + LARGEST) if high is None else high


def _longest(low: Decimal, high: Decimal) -> int:
    return LONGEST_NUMBER + max(low.adjusted(), high.adjusted())


def _decimals(schema: dict[str, Any]) -> int:
    """Digits after the point: as many as the bounds have, but not more than a double holds."""
    bounds = [_exact(schema[key]).normalize().as_tuple().exponent for key in _BOUNDS & schema.keys()]
    return min(_MOST_DECIMALS, max((_DECIMALS, *(-int(exponent) for exponent in bounds))))


def _exact(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e100:
        raise ValueError(f"{value!r} is not a number that can be kept")
    return Decimal(str(value))
