"""Control tokens of a tokenizer, and the encoding in which other people's text can never become one.

Before a conversation is templated, a mark (a character that occurs nowhere in it) is put into every place of a text
where a control token could be read or could arise from what stands beside the text. The rendered text is cut at those
marks and each piece is encoded on its own: the ids decode to the text as it was, and hold no control token but the
template's own. Without such a place there is no mark, and the ids are those of `apply_chat_template(tokenize=True)`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from langgraph_ratchet.core.errors import BadInputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Anatolian hieroglyphs: letters, so that neither `repr` nor `trim` in a template touches them, and in no prompt.
_MARKS = tuple(map(chr, range(0x14400, 0x14647)))
_LOOKALIKES = (("Say <", "|zq|> é"), ("Say ", "<zq>"), ("[", "ZQ] 7"))
"""Texts in two pieces; a tokenizer that adds something at the beginning of a piece shows it on one of them."""


@dataclass(frozen=True, eq=False)
class ControlTokens:
    """The control tokens of one tokenizer, and what is done about texts that hold them."""

    strings: tuple[str, ...]
    """What the tokenizer turns into control tokens, longest first."""
    ids: frozenset[int]
    normalised: bool
    """Whether the tokenizer changes a text before it looks for some of them, so that other texts may become them."""
    lead: str | None
    """What a piece is encoded after, so that the tokenizer adds no space before it; `None`: nothing prevents that."""

    def may_arise_in(self, text: str) -> bool:
        """Whether a control token can be read in `text`, or could arise from what is written before or after it."""
        return self.pattern.search(text) is not None or self._tail(text) is not None or self._head(text) is not None

    def marked(self, text: str, mark: str) -> str:
        """`text` with `mark` wherever a control token could be read or could arise at its ends.

        A token of a single character cannot be cut: a space stands in for it.
        """
        cuts = {at for at in (self._head(text), self._tail(text)) if at is not None}
        cuts |= {start + 1 for start, end in self.spans(text) if end - start > 1}
        pieces = (text[begin:end] for begin, end in pairwise((0, *sorted(cuts), len(text))))
        return mark.join(pieces).translate(self._single)

    def marked_everywhere(self, value: Any, mark: str) -> Any:
        """`value` with every string in it, keys included, marked."""
        if isinstance(value, str):
            return self.marked(value, mark) if self.may_arise_in(value) else value
        if isinstance(value, Mapping):
            return {
                self.marked_everywhere(key, mark): self.marked_everywhere(each, mark) for key, each in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.marked_everywhere(each, mark) for each in value]
        return value

    def encode(self, tokenizer: "PreTrainedTokenizerBase", text: str, mark: str | None) -> list[int]:
        """Ids of a rendered text that was made of marked texts, without the marks.

        Raises:
            BadInputError: the tokenizer makes a control token of a text in a way that is not known here.
        """
        # The template has written every control token, the first one included.
        if mark is None and not self.normalised:
            return list(tokenizer.encode(text, add_special_tokens=False, verbose=False))
        pieces = self.cut(text, mark) if mark else [text]
        if self.lead is None:
            pieces = [self.joiner.join(pieces)]
        ids = _encode_pieces(tokenizer, pieces, self.lead or "")
        written = sum(len(self.pattern.findall(piece)) for piece in pieces)
        if sum(token in self.ids for token in ids) > written:
            raise BadInputError(
                "a text of the conversation would become a control token of this tokenizer, which normalises what it "
                "reads: remove what looks like one from the text"
            )
        return ids

    def cut(self, text: str, mark: str) -> list[str]:
        """`text` in pieces, without its marks: cut at those that stand within what reads as a control token."""
        parts = text.split(mark)
        whole = "".join(parts)
        spans, reach, cuts = self.spans(whole), 0, [0]
        start, end = next(spans, (len(whole), 0))
        for at in list(accumulate(map(len, parts)))[:-1]:
            while start < at:
                reach = max(reach, end)
                start, end = next(spans, (len(whole), 0))
            if at < reach:
                cuts.append(at)
        return [whole[begin:end] for begin, end in pairwise((*cuts, len(whole))) if begin < end]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where control tokens can be read in `text`, also where they overlap: beginning and end of each."""
        at = 0
        while match := self.pattern.search(text, at):
            yield match.span()
            at = match.start() + 1

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds the longest control token that begins at a place."""
        return re.compile("|".join(map(re.escape, self.strings)) or r"(?!)")

    @cached_property
    def _single(self) -> dict[int, str]:
        return {ord(token): self.joiner for token in self.strings if len(token) == 1}

    @cached_property
    def joiner(self) -> str:
        """What stands between pieces that cannot be encoded on their own: no control token may hold it."""
        return next((space for space in " \n_" if not any(space in token for token in self.strings)), "\ufffd")

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.strings), default=0)

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(token[:length] for token in self.strings for length in range(1, len(token)))

    @cached_property
    def _endings(self) -> frozenset[str]:
        return frozenset(token[-length:] for token in self.strings for length in range(1, len(token)))

    @cached_property
    def _first(self) -> frozenset[str]:
        return frozenset(token[0] for token in self.strings)

    @cached_property
    def _last(self) -> frozenset[str]:
        return frozenset(token[-1] for token in self.strings)

    def _tail(self, text: str) -> int | None:
        """Where `text` ends, white space aside, if what is written next could complete a control token."""
        kept = text.rstrip()
        near = kept[-self._longest :]
        if self._first.isdisjoint(near):
            return None
        return len(kept) if any(near[at:] in self._beginnings for at in range(len(near))) else None

    def _head(self, text: str) -> int | None:
        """Where `text` begins, white space aside, if it could complete a control token that was begun before it."""
        kept = text.lstrip()
        near = kept[: self._longest]
        if self._last.isdisjoint(near):
            return None
        return len(text) - len(kept) if any(near[:at] in self._endings for at in range(1, len(near) + 1)) else None


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> ControlTokens:
    """The control tokens of `tokenizer`.

    Added tokens count as control tokens unless they are plain words or white space: many models mark tool calls
    and thoughts with added tokens that are not flagged as special.
    """
    known: ControlTokens | None = tokenizer.__dict__.get("_ratchet_control_tokens")
    if known is None:
        added = tokenizer.added_tokens_decoder.items()
        found = {id: token for id, token in added if str(token) and (token.special or not _is_plain(str(token)))}
        normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
        known = ControlTokens(
            strings=tuple(sorted(map(str, found.values()), key=lambda token: (-len(token), token))),
            ids=frozenset(found),
            normalised=normalizer is not None and any(token.normalized for token in found.values()),
            lead=next((lead for lead in ("", "\n") if _keeps_text(tokenizer, lead)), None),
        )
        tokenizer.__dict__["_ratchet_control_tokens"] = known
    return known


def unused_mark(texts: Sequence[str]) -> str:
    """A character that occurs in none of `texts`.

    Raises:
        BadInputError: they hold every one that could be used.
    """
    used = {character for text in texts if not text.isascii() for character in text}
    mark = next((mark for mark in _MARKS if mark not in used), None)
    if mark is None:
        raise BadInputError("the conversation holds every Anatolian hieroglyph: no character is left to mark it with")
    return mark


def is_escaped(text: str, mark: str) -> bool:
    """Whether a template has written `mark` as an escape sequence, which cannot be cut at."""
    return json.dumps(mark)[1:-1] in text


def _encode_pieces(tokenizer: "PreTrainedTokenizerBase", pieces: Sequence[str], lead: str) -> list[int]:
    """Ids of pieces of a text, one after the other; each but the first is encoded after `lead`, which is taken off."""
    ids: list[int] = []
    skipped = len(tokenizer.encode(lead, add_special_tokens=False)) if lead else 0
    for at, piece in enumerate(pieces):
        whole = tokenizer.encode(lead + piece if at else piece, add_special_tokens=False, verbose=False)
        ids += whole[skipped if at else 0 :]
    return ids


def _keeps_text(tokenizer: "PreTrainedTokenizerBase", lead: str) -> bool:
    """Whether pieces that are encoded after `lead` decode to the same text as the whole."""
    return all(
        tokenizer.decode(_encode_pieces(tokenizer, pair, lead))
        == tokenizer.decode(tokenizer.encode("".join(pair), add_special_tokens=False))
        for pair in _LOOKALIKES
    )


def _is_plain(text: str) -> bool:
    return len(text) < 2 or all(character.isalnum() or character.isspace() for character in text)
