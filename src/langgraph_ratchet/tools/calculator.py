"""`calculator`: arithmetic from text, through simpleeval with limits of our own. Nothing that it is given hangs.

Python's own `ast` reads the expression; simpleeval walks it. What can grow without bound (powers, rounding to a
billion places, nesting) is refused before it is computed.
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from simpleeval import InvalidExpression, SimpleEval

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import ToolSpec

SPEC = ToolSpec(timeout_s=5.0, output_cap=400, trust=Trust.OWN)

_MAX_LENGTH = 500
_MAX_DEPTH = 40
_MAX_BITS = 1_000  # about 300 digits
_MAX_PLACES = 15
_TOKEN = re.compile(r"\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|[A-Za-z_]\w*|\*\*|//|[-+*/%(),]|\s+")
_SIGNS = re.compile(rf"([-+]\s*){{{_MAX_DEPTH}}}")  # each sign nests as a parenthesis does
_TYPOGRAPHIC = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-"})

Number = int | float


def _power(base: Number, exponent: Number) -> Number:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(base) > 1 and int(base).bit_length() * exponent > _MAX_BITS:
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ToolException(f"{_show(base)} to the power of {_show(exponent)} is not a real number")
    return result


def _round(number: Number, places: int = 0) -> Number:
    if abs(places) > _MAX_PLACES:
        raise ToolException(f"round takes at most {_MAX_PLACES} places, got {places}")
    return round(number, places) if places else round(number)


def _square_root(number: Number) -> Number:
    if number < 0:
        raise ToolException(f"the square root of {_show(number)} is not a real number")
    if isinstance(number, int) and math.isqrt(number) ** 2 == number:
        return math.isqrt(number)
    return math.sqrt(number)


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "round": _round,
    "gcd": math.gcd,
    "lcm": math.lcm,
    "sqrt": _square_root,
}


def calculate(expression: str) -> str:
    """The value of an arithmetic expression, as text: "18", "2.5".

    Args:
        expression: numbers, `+ - * / // % **`, parentheses, and min, max, abs, round, gcd, lcm, sqrt.

    Raises:
        ToolException: it cannot be calculated; the message says why.
    """
    text = expression.translate(_TYPOGRAPHIC).strip().removesuffix("=").strip()
    _check(text)
    evaluator = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names={})
    try:
        return _show(evaluator.eval(text))
    except ZeroDivisionError:
        raise ToolException("division by zero") from None
    except OverflowError:
        raise ToolException("the result is too large") from None
    except RecursionError:
        raise ToolException("the expression is nested too deeply") from None
    except (SyntaxError, InvalidExpression, TypeError, ValueError, MemoryError):
        raise ToolException(f"cannot read '{_short(text)}' as arithmetic") from None


def _check(text: str) -> None:
    """Refuses what is too long, too deep, or has words or characters that arithmetic does not have."""
    if not text:
        raise ToolException("the expression is empty")
    if len(text) > _MAX_LENGTH:
        raise ToolException(f"the expression has {len(text)} characters, at most {_MAX_LENGTH} are allowed")
    if _SIGNS.search(text):
        raise ToolException("the expression is nested too deeply")
    position = depth = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ToolException(f"'{_short(text[position])}' is not allowed; use numbers and + - * / // % ** ( )")
        word = token.group()
        if (word[0].isalpha() or word[0] == "_") and word not in _FUNCTIONS:
            raise ToolException(f"unknown word '{_short(word)}'; known functions: {', '.join(_FUNCTIONS)}")
        depth += (word == "(") - (word == ")")
        if depth > _MAX_DEPTH:
            raise ToolException("the expression is nested too deeply")
        position = token.end()


def _show(value: Any) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError("not a number")
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise OverflowError
        return str(value)
    if not math.isfinite(value):
        raise OverflowError
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return format(value, ".15g")  # the 16th digit is where 0.1 + 0.2 shows its binary tail


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def calculator_tool() -> BaseTool:
    """The tool `calculator(expression)`."""
    return StructuredTool.from_function(
        calculate,
        name="calculator",
        description="Calculate an arithmetic expression, e.g. (45 + 33) * 2.",
        metadata=SPEC.metadata(),
    )
