"""Reads text for the graders: its words, its clauses, and which phrases it names, denies or lists.

Linear in the length of the text, and never more than its last part is read.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

LAST_PART = 8_000
"""Characters at the end of an answer that are read leniently: an answer stands at its end, not a book before it."""

_LONGEST_WORD = 100


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    SYMBOL = "symbol"
    """A sign that is part of what it stands at: `C++`, `-5`."""
    MARK = "mark"
    """Punctuation within a sentence."""
    END = "end"
    """The end of a sentence or line."""
    PHRASE = "phrase"
    """Tokens that together are one of the phrases looked for."""


class Token(NamedTuple):
    """A piece of text, in lower case and without apostrophes."""

    kind: Kind
    text: str
    phrase: int = -1
    """Which phrase, for `Kind.PHRASE`."""


_TOKEN = re.compile(
    r"""
    (?P<word>[0-9]+(?:[.,:][0-9]+)*+ | [^\W_]+(?:['’][^\W\d_]+)*+)
  | (?P<symbol>[+\#%&@$€£<>^~|\\] | -(?=[0-9]))
  | (?P<end>[.!?…]+(?=[\s"'”’)\]*_`]|\Z) | \n+)
  | (?P<mark>[,;:/()\[\]{}"“”«»=—–])
    """,
    re.VERBOSE,
)

_KINDS: dict[str | None, Kind] = {kind.value: kind for kind in Kind}

# Emphasis and the rest of punctuation mean nothing here and make no token.
_APOSTROPHES = str.maketrans("", "", "'’")

_DENIALS = frozenset(
    "not no never neither nor none cannot cant isnt arent wasnt werent doesnt dont didnt wont without except".split()
)
_HEDGES = _DENIALS | frozenset(
    "or either maybe perhaps possibly might may could unless versus vs unsure unknown".split()
)
_BEFORE_DENIED = frozenset("the a an on in at of be is it".split())
_SUBORDINATORS = frozenset("which where because since as who whose that".split())
# Words that may stand right before or after an answer without being part of it or another answer.
_FUNCTION_WORDS = _SUBORDINATORS | frozenset(
    "a an the is are was were be been it its this that these in on at of to for from by with into than then so thus "
    "hence therefore here there i we you he she they equals namely called named indeed only just after before".split()
)


def last_part(text: str) -> str:
    """The end of `text`, from a word's beginning, at most `LAST_PART` characters long."""
    if len(text) <= LAST_PART:
        return text
    part = text[-LAST_PART:]
    start = re.search(r"\s", part)
    return part[start.end() :] if start else ""


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, compatibility forms folded (full-width letters, ligatures, composed accents)."""
    # Word by word and only words of a sane length: normalising a long run of combining marks takes quadratic time.
    folded = (text if text.isascii() else re.sub(r"\S+", _fold, text)).casefold()
    return [Token(_KINDS[found.lastgroup], found[0].translate(_APOSTROPHES)) for found in _TOKEN.finditer(folded)]


def _fold(word: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", word[0]) if len(word[0]) <= _LONGEST_WORD else word[0]


def phrase(text: str) -> tuple[Token, ...]:
    """The tokens of `text` that must be found in a row: words, symbols, and ends within them."""
    found = [token for token in tokens(text) if token.kind is not Kind.MARK]
    while found and found[-1].kind is Kind.END:
        found.pop()
    while found and found[0].kind is Kind.END:
        found.pop(0)
    return tuple(found)


def mark_phrases(read: Sequence[Token], phrases: Sequence[tuple[Token, ...]]) -> list[Token]:
    """`read` with every occurrence of a phrase, none of them empty, made one token; where several begin, the longest.

    An occurrence is whole words: no symbol stands at it, so `C` is not in `C++` and `5` is not in `-5`.
    """
    by_first: dict[Token, list[int]] = {}
    for index in sorted(range(len(phrases)), key=lambda index: -len(phrases[index])):
        by_first.setdefault(phrases[index][0], []).append(index)
    marked: list[Token] = []
    at = 0
    while at < len(read):
        for index in by_first.get(read[at], ()):
            end = _end_of(phrases[index], read, at)
            if end is not None:
                marked.append(Token(Kind.PHRASE, "", index))
                at = end
                break
        else:
            marked.append(read[at])
            at += 1
    return marked


def _end_of(wanted: tuple[Token, ...], read: Sequence[Token], at: int) -> int | None:
    """Where `wanted`, whose first token is `read[at]`, ends; `None` if not all of it is there. Marks do not count."""
    if at and read[at - 1].kind is Kind.SYMBOL:
        return None
    end, rest = at + 1, iter(wanted[1:])
    token = next(rest, None)
    while token is not None:
        if token.kind is Kind.END and (end == len(read) or read[end].kind is not Kind.END):
            token = next(rest, None)
        elif end < len(read) and (read[end] == token or token.kind is read[end].kind is Kind.END):
            end += 1
            token = next(rest, None)
        elif end < len(read) and read[end].kind is Kind.MARK:
            end += 1
        else:
            return None
    return None if end < len(read) and read[end].kind is Kind.SYMBOL else end


def sentences(read: Sequence[Token]) -> Iterator[tuple[list[Token], bool]]:
    """Each sentence or line that has words, without its end, and whether it asks."""
    sentence: list[Token] = []
    for token in (*read, Token(Kind.END, "")):
        if token.kind is not Kind.END:
            sentence.append(token)
        elif sentence:
            if any(item.kind in (Kind.WORD, Kind.PHRASE) for item in sentence):
                yield sentence, "?" in token.text
            sentence = []


def after_last_cue(read: Sequence[Token]) -> list[Token] | None:
    """What follows the last "answer is" or "answer:", to the end of its sentence; `None` without such a cue."""
    cue = None
    for at, (token, following) in enumerate(itertools.pairwise(read)):
        if token == Token(Kind.WORD, "answer") and (
            following == Token(Kind.WORD, "is") or (following.kind is Kind.MARK and following.text in (":", "="))
        ):
            cue = at + 2
    if cue is None:
        return None
    return next((sentence for sentence, asks in sentences(read[cue:]) if not asks), [])


def denied(sentence: Sequence[Token], at: int) -> bool:
    """Whether the phrase at `at` is named only to be denied: "it is not a Tuesday"."""
    before = at - 1
    while before >= 0 and sentence[before].kind is Kind.WORD and sentence[before].text in _BEFORE_DENIED:
        before -= 1
    return before >= 0 and sentence[before].kind is Kind.WORD and sentence[before].text in _DENIALS


def commits(sentence: Sequence[Token]) -> bool:
    """Whether a sentence gives its phrase as the answer: it neither denies nor hedges nor lists.

    The phrase must stand between function words, marks that introduce it, and the sentence's ends, and nothing may
    follow that could be another answer. Where this is in doubt the sentence does not commit.
    """
    if any(token.kind is Kind.WORD and token.text in _HEDGES for token in sentence):
        return False
    return any(token.kind is Kind.PHRASE and _stands_free(sentence, at) for at, token in enumerate(sentence))


def _stands_free(sentence: Sequence[Token], at: int) -> bool:
    before = sentence[at - 1] if at else None
    if before is not None and not (_is_function_word(before) or before.text in tuple(':=(["{“«—–')):
        return False
    rest = sentence[at + 1 :]
    if rest and not (_is_function_word(rest[0]) or rest[0].text in tuple(',()]"}”»')):
        return False
    for token, following in itertools.pairwise((*rest, Token(Kind.END, ""))):
        if token.kind is Kind.PHRASE or token.text in ("and", ";", "/", "&"):
            return False
        if token.text == "," and following.text not in _SUBORDINATORS:
            return False
    return True


def is_list(read: Sequence[Token]) -> bool:
    """Whether a text only lists: three or more lines or sentences, none with a word that makes it a statement."""
    listed = [sentence for sentence, _ in sentences(read)]
    return len(listed) > 2 and not any(_is_function_word(token) for sentence in listed for token in sentence)


def _is_function_word(token: Token) -> bool:
    return token.kind is Kind.WORD and token.text in _FUNCTION_WORDS
