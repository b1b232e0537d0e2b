"""A model's vocabulary as bytes: which tokens spell a text, and which would spell a control token."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from llguidance import LLTokenizer
from numpy.typing import NDArray

from langgraph_ratchet.chat_models.text.control import control_tokens
from langgraph_ratchet.core.errors import BadInputError

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.base import Base

_LONGEST_TOKEN = 32
"""Bytes of the longest token that spelling uses."""
_PLAIN = re.compile(rb"[^\"\\\x00-\x1f\x7f]+")
_PIECE = re.compile(rb"\xff\[(\d+)\]|[^\xff]+")


class Vocabulary:
    """The tokens of one base model.

    Args:
        base: its tokenizer must be a fast one.

    Raises:
        BadInputError: it is not, or its tokens do not spell every text.
    """

    def __init__(self, base: "Base") -> None:
        backend = getattr(base.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise BadInputError(
                f"the replies of {base.name!r} cannot be constrained: its tokenizer is not a fast one "
                "(there is no tokenizer.json)"
            )
        if not base.end_ids:
            raise BadInputError(f"the replies of {base.name!r} cannot be constrained: it has no end-of-turn token")
        self.width = _width(base)
        self.end_ids = base.end_ids
        control = control_tokens(base.tokenizer)
        self.control_ids = control.ids | base.end_ids
        self.known = max(self.width, len(base.tokenizer))
        """Tokens that llguidance is told of: some models' logits are wider than the tokenizer, some narrower."""
        self.tokenizer = _tokenizer(backend.to_str(), self.control_ids, self.end_ids, self.known)
        ordinary = {token for token in base.tokenizer.get_vocab().values() if token not in self.control_ids}
        texts = {token: self.tokenizer.decode_bytes([token]) for token in sorted(ordinary) if token < self.width}
        # No UTF-8 holds the byte 0xFF, which marks control tokens here.
        self.texts = {token: text for token, text in texts.items() if text and b"\xff" not in text}
        self._tokens: dict[bytes, int] = {}
        for token, text in self.texts.items():
            self._tokens.setdefault(text, token)
        self._longest = [0] * 256
        for text in self._tokens:
            self._longest[text[0]] = max(self._longest[text[0]], min(_LONGEST_TOKEN, len(text)))
        self.control_strings = control.strings
        self.room = self._room()
        """Int32 [V]: how many characters each token adds to a JSON string; 0 for one that may do anything else."""
        self.single = np.zeros(self.width, dtype=np.bool_)
        """Bool [V]: the tokens of one byte."""
        self.single[[token for token, text in self.texts.items() if len(text) == 1]] = True
        self.plans: dict[bytes, Any] = {}
        """Plans (see `plans`) of the replies that were asked for."""
        self.cost = lru_cache(maxsize=4096)(self._cost)
        self._least = lru_cache(maxsize=4096)(self._spelled)

    def text_of(self, token: int) -> bytes:
        """The bytes of a token; a control token as `nodes` writes it."""
        return self.texts.get(token, b"\xff[%d]" % token)

    def spell(self, text: bytes) -> list[int]:
        """The fewest tokens whose bytes are `text`.

        Raises:
            BadInputError: no tokens spell it.
        """
        tokens: list[int] = []
        for piece in _PIECE.finditer(text):
            if piece[1]:
                tokens.append(int(piece[1]))
                continue
            _, best = self._least(piece[0])
            at = 0
            while at < len(piece[0]):
                tokens.append(self._tokens[piece[0][at : best[at]]])
                at = best[at]
        return tokens

    def count(self, text: bytes) -> int:
        """How many tokens `spell` gives."""
        return sum(1 if piece[1] else self._least(piece[0])[0][0] for piece in _PIECE.finditer(text))

    def _cost(self, text: bytes) -> int:
        """Most tokens that `spell` takes for the text or any end of it."""
        total = 0
        for piece in reversed(list(_PIECE.finditer(text))):
            total += 1 if piece[1] else max(self._least(piece[0])[0])
        return total

    def _spelled(self, text: bytes) -> tuple[list[int], list[int]]:
        """For each place of `text`, how few tokens spell what follows, and where the first of them ends."""
        count = len(text)
        least, best = [0] * (count + 1), [count] * (count + 1)
        for start in range(count - 1, -1, -1):
            ends = range(start + 1, min(count, start + self._longest[text[start]]) + 1)
            found = [(1 + least[end], -end) for end in ends if text[start:end] in self._tokens and least[end] < 1 << 30]
            least[start], end = min(found, default=(1 << 30, -count))
            best[start] = -end
        if count and max(least) >= 1 << 30:
            raise BadInputError(
                f"no tokens of this model spell {text.decode(errors='replace')!r}, so its replies cannot be constrained"
            )
        return least, best

    def _room(self) -> NDArray[np.int32]:
        room = np.zeros(self.width, dtype=np.int32)
        for token, text in self.texts.items():
            if _PLAIN.fullmatch(text):
                try:
                    room[token] = len(text.decode())
                except UnicodeDecodeError:
                    continue
        return room


def _width(base: "Base") -> int:
    """How wide the model's logits are."""
    head: Any = base.model.get_output_embeddings()
    return int(head.weight.shape[0]) if head is not None else int(base.model.config.get_text_config().vocab_size)


def _tokenizer(serialised: str, control_ids: frozenset[int], end_ids: frozenset[int], width: int) -> LLTokenizer:
    """The tokenizer as llguidance holds it: no text of a grammar is ever spelled with a control token."""
    content = orjson.loads(serialised)
    content |= {"padding": None, "truncation": None}
    for token in content["added_tokens"]:
        token["special"] = token["id"] in control_ids
    return LLTokenizer(orjson.dumps(content).decode(), n_vocab=width, eos_token=sorted(end_ids))
