"""Marks that a reply must not spell out: where one stood inside a JSON string, the reply would be read wrongly."""

import re
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from langgraph_ratchet.chat_models.constrained.vocabulary import Vocabulary

_KEPT = 4096
"""Sets of tokens that are remembered."""


class Markers:
    """The control tokens' texts, and others that end or begin a tool call, as ordinary text.

    Args:
        vocabulary: the tokens that may spell them.
        others: marks that are no control tokens.
    """

    def __init__(self, vocabulary: Vocabulary, others: Iterable[str] = ()) -> None:
        strings = {*vocabulary.control_strings, *others}
        self._markers = sorted(string.encode() for string in strings if len(string) > 1)
        self._any = re.compile(b"|".join(map(re.escape, self._markers)) or b"(?!)")
        self._first = re.compile(b"[" + re.escape(bytes({marker[0] for marker in self._markers})) + b"]" or b"(?!)")
        self._longest = max(map(len, self._markers), default=0)
        spelled = sorted((text, token) for token, text in vocabulary.texts.items())
        self._texts = [text for text, _ in spelled]
        self._tokens = np.array([token for _, token in spelled], dtype=np.int64)
        whole = [token for text, token in spelled if self._any.search(text)]
        self._whole = np.array(whole, dtype=np.int64)
        self._known: dict[tuple[bytes, ...], NDArray[np.int64]] = {}

    def found_in(self, text: bytes) -> str | None:
        """The first mark that is spelled out in `text`."""
        match = self._any.search(text)
        return match.group().decode() if match else None

    def completed_by(self, text: bytes) -> NDArray[np.int64]:
        """The tokens after which a mark would stand at the end of `text`."""
        tail = text[1 - self._longest :] if self._longest > 1 else b""
        begun = tuple(rest for match in self._first.finditer(tail) for rest in self._rests(tail[match.start() :]))
        if not begun:
            return self._whole
        if begun not in self._known:
            if len(self._known) > _KEPT:
                self._known.clear()
            self._known[begun] = np.concatenate([self._whole, *map(self._beginning_with, begun)])
        return self._known[begun]

    def _rests(self, beginning: bytes) -> list[bytes]:
        """What is missing of the marks that begin so."""
        at = bisect_left(self._markers, beginning)
        rests = []
        while at < len(self._markers) and self._markers[at].startswith(beginning):
            rests.append(self._markers[at][len(beginning) :])
            at += 1
        return [rest for rest in rests if rest]

    def _beginning_with(self, text: bytes) -> NDArray[np.int64]:
        return self._tokens[bisect_left(self._texts, text) : bisect_left(self._texts, text + b"\xff")]
