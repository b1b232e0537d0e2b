"""SMT-LIB text, checked before z3 sees it: only commands that declare, define and assert are passed on.

z3 carries out some of the others even when it only parses: `(set-option :regular-output-channel "F")` writes to F.
"""

import re
from collections.abc import Iterator

_KEPT = ("declare-const", "declare-fun", "declare-sort", "declare-datatype", "declare-datatypes", "define-fun",
         "define-const", "define-sort", "assert")  # fmt: skip
_DROPPED = ("set-logic", "set-info", "check-sat", "get-model", "exit")
"""Harmless and usual in such text, and without meaning here."""
_KEYWORDS = (":named", ":pattern")
_MAX_DEPTH = 200
_MAX_NAMES = 500

_TOKEN = re.compile(r'\s*(?:;[^\n]*|("(?:[^"]|"")*"|\|[^|\\]*\||[^\s()";|]+|[()])|(\S))')
_COMMAND = re.compile(
    r'(?:\s|;[^\n]*\n)*\(\s*(?:(?:check|dbg|declare|define|get|model|set)-[a-z]|assert\b|(?:echo|eval|include)\s*["(])'
)


class SmtError(ValueError):
    """The text is not SMT-LIB that is allowed here; the message says why."""


def is_smt(text: str) -> bool:
    """Whether `text` begins like SMT-LIB: with a command, which hardly a propositional formula begins with."""
    return _COMMAND.match(text) is not None


def checked_script(text: str) -> tuple[str, int]:
    """The commands of `text` that count, and how many of them assert.

    Raises:
        SmtError: there is a command that is not allowed, or the parentheses do not match.
    """
    kept = []
    for command in _expressions(text):
        head = command[1] if len(command) > 2 and command[0] == "(" else command[0]
        if head in _KEPT:
            kept.append(_joined(command))
        elif head not in _DROPPED:
            raise SmtError(f"'{head[:40]}' is not allowed; use {', '.join(_KEPT)}")
    names = sum(not command.startswith("( assert ") for command in kept)
    if names > _MAX_NAMES:
        raise SmtError(f"there are {names} declarations, at most {_MAX_NAMES} are allowed")
    return "\n".join(kept), len(kept) - names


def checked_term(text: str) -> str:
    """`text` as one term.

    Raises:
        SmtError: it is none, or more than one.
    """
    terms = list(_expressions(text))
    if len(terms) != 1:
        raise SmtError(f"the claim must be one SMT-LIB term, such as (> x 0); got {len(terms)}")
    return _joined(terms[0])


def _joined(tokens: list[str]) -> str:
    for token in tokens:
        if token.startswith(":") and token not in _KEYWORDS:
            raise SmtError(f"'{token[:40]}' is not allowed; of the keywords only {', '.join(_KEYWORDS)} are")
    return " ".join(tokens)


def _expressions(text: str) -> Iterator[list[str]]:
    """The tokens of each S-expression at the top of `text`."""
    tokens: list[str] = []
    depth = 0
    for token in _tokens(text):
        depth += (token == "(") - (token == ")")
        if depth < 0:
            raise SmtError("there is a ')' too many")
        if depth > _MAX_DEPTH:
            raise SmtError(f"the text is nested too deeply, at most {_MAX_DEPTH} levels are allowed")
        tokens.append(token)
        if depth == 0:
            yield tokens
            tokens = []
    if depth:
        raise SmtError("a ')' is missing at the end")


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text.strip()):
        token, other = match.groups(default="")
        if other:
            raise SmtError(f"'{other}' is not closed or not allowed")
        if token:
            yield token
