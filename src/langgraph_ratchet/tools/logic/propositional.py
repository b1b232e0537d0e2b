"""The small propositional syntax, read into a tree; nothing is evaluated.

From tight to loose: `not`, `and`, `or`, `->` (groups to the right), `<->`. A statement is a name (`it_rains`), `true`,
`false`, or a formula in parentheses. Operators may be written in several ways and in any case; names mind theirs.
"""

import re
from dataclasses import dataclass

MAX_NAMES = 200
_MAX_DEPTH = 60
_MAX_NAME = 60

_SPELLINGS = {
    "not": ("not", "~", "¬", "!"),
    "and": ("and", "&", "&&", "∧", "/\\"),
    "or": ("or", "|", "||", "∨", "\\/"),
    "->": ("implies", "->", "=>", "→", "⇒", "⟹", "⊃"),
    "<->": ("iff", "<->", "<=>", "↔", "⇔", "⟺", "≡"),
    "true": ("true", "⊤"),
    "false": ("false", "⊥"),
    "(": ("(",),
    ")": (")",),
}
_OPERATORS = {spelling: operator for operator, spellings in _SPELLINGS.items() for spelling in spellings}
_BINDING = {"<->": 1, "->": 2, "or": 3, "and": 4}
_SIGNS = "|".join(re.escape(sign) for sign in sorted(_OPERATORS, key=len, reverse=True) if not sign.isalpha())
_TOKEN = re.compile(rf"\s*(?:([^\W\d]\w*)|({_SIGNS})|(\S))")


class FormulaError(ValueError):
    """The text is not a formula; the message says why."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A node of the tree."""

    operator: str
    """`name`, `true`, `false`, `not`, `and`, `or`, `->` or `<->`."""
    parts: tuple["Formula", ...] = ()
    name: str = ""


def read_premises(text: str) -> list[Formula]:
    """The premises, one per line or separated by `;`; there may be none."""
    return [read_formula(line) for line in re.split(r"[;\n]", text) if line.strip()]


def read_formula(text: str) -> Formula:
    """One formula.

    Raises:
        FormulaError: it is none.
    """
    if not text.strip():
        raise FormulaError("the claim is empty")
    reader = _Reader(_tokens(text), text)
    formula = reader.formula(0, 0)
    if reader.next:
        raise FormulaError(f"'{shown(reader.next)}' is one too many in '{shown(text)}'")
    return formula


def names_of(formulas: list[Formula]) -> list[str]:
    """The names in `formulas`, in order of appearance."""
    found: dict[str, None] = {}
    waiting = list(reversed(formulas))
    while waiting:
        formula = waiting.pop()
        if formula.operator == "name":
            found[formula.name] = None
        waiting.extend(reversed(formula.parts))
    if len(found) > MAX_NAMES:
        raise FormulaError(f"there are {len(found)} names, at most {MAX_NAMES} are allowed")
    return list(found)


def shown(text: str) -> str:
    """The beginning of `text`, for a message."""
    text = text.strip()
    return text if len(text) <= 40 else text[:40] + "…"


def _tokens(text: str) -> list[str]:
    tokens = []
    for match in _TOKEN.finditer(text.strip()):  # Stripped, so that each run of spaces is followed by a token.
        word, sign, other = match.groups(default="")
        if other:
            raise FormulaError(f"'{other}' is not allowed; use names, not, and, or, ->, <-> and parentheses")
        if len(word) > _MAX_NAME:
            raise FormulaError(f"the name '{shown(word)}' has {len(word)} letters, at most {_MAX_NAME} are allowed")
        tokens.append(_OPERATORS.get(word.lower() if word else sign, word))
    return tokens


class _Reader:
    """Precedence climbing: each call reads a formula whose operators bind at least as tightly as asked."""

    def __init__(self, tokens: list[str], text: str) -> None:
        self._tokens = [*reversed(tokens)]
        self._text = text

    @property
    def next(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def formula(self, binding: int, depth: int) -> Formula:
        left = self._statement(depth)
        while (operator := self.next) in _BINDING and _BINDING[operator] >= binding:
            parts = [left]
            if operator in ("and", "or"):  # As wide as they are written: no depth.
                while self.next == operator:
                    self._tokens.pop()
                    parts.append(self.formula(_BINDING[operator] + 1, depth))
            else:  # To the right, which for `<->` means the same as to the left.
                self._tokens.pop()
                parts.append(self.formula(_BINDING[operator], depth + 1))
            left = Formula(operator, tuple(parts))
        return left

    def _statement(self, depth: int) -> Formula:
        if depth > _MAX_DEPTH:
            raise FormulaError(f"the formula is nested too deeply, at most {_MAX_DEPTH} levels are allowed")
        token = self._tokens.pop() if self._tokens else ""
        if token == "not":
            return Formula("not", (self._statement(depth + 1),))
        if token in ("true", "false"):
            return Formula(token)
        if token == "(":
            inner = self.formula(0, depth + 1)
            if not self._tokens or self._tokens.pop() != ")":
                raise FormulaError(f"a ')' is missing in '{shown(self._text)}'")
            return inner
        if not token or token in _OPERATORS:
            where = f"before '{token}'" if token else "at the end"
            raise FormulaError(f"a name is missing {where} of '{shown(self._text)}'")
        return Formula("name", name=token)
