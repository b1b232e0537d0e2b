"""Token ids to text while they come, and to the bytes that each stands for."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UNFINISHED = "\ufffd"
"""What stands at the end of a text whose last character lacks bytes."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Detokenizer:
    """The text of a completion, piece by piece; the pieces join to what `decode` makes of the whole.

    A piece never ends within a character: its bytes are held back until the character is whole or the text ends.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        """The last ids: those of the piece before, whose text is known, and those that were held back."""
        self._known = 0
        """How many of them have been told."""
        self._told = ""

    def feed(self, ids: Sequence[int]) -> str:
        """The text that `ids` add; empty while a character is not whole."""
        if not ids:
            return ""
        self._ids += ids
        text = self._decode(self._ids)
        if text.endswith(_UNFINISHED):
            return ""
        piece = text[len(self._told) :]
        # A tokenizer may decode a first token differently, so the last piece goes before what comes next.
        del self._ids[: self._known]
        self._known = len(self._ids)
        self._told = self._decode(self._ids)
        return piece

    def alone(self, token: int) -> str:
        """The text of one token by itself."""
        return self._decode([token])

    def rest(self) -> str:
        """What was held back, at the end of the text."""
        return self._decode(self._ids)[len(self._told) :]


def token_bytes(tokenizer: "PreTrainedTokenizerBase", token: int) -> bytes:
    """The bytes that a token stands for; of a character that several tokens share, each has its part."""
    known: dict[int, bytes] = tokenizer.__dict__.setdefault("_ratchet_token_bytes", {})
    if token not in known:
        known[token] = _bytes_of(tokenizer, token)
    return known[token]


def _bytes_of(tokenizer: "PreTrainedTokenizerBase", token: int) -> bytes:
    added: Any = tokenizer.added_tokens_decoder.get(token)
    if added is not None:
        return str(added).encode()
    piece = tokenizer.convert_ids_to_tokens(token)
    if not isinstance(piece, str):
        return b""  # beyond the vocabulary: models pad their logits
    table = _byte_characters()
    if _byte_level(tokenizer) and all(character in table for character in piece):
        return bytes(table[character] for character in piece)
    if byte := _BYTE.fullmatch(piece):
        return bytes([int(byte[1], 16)])
    return piece.replace("▁", " ").encode()


def _byte_level(tokenizer: "PreTrainedTokenizerBase") -> bool:
    return "ByteLevel" in repr(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None))


@lru_cache(maxsize=1)
def _byte_characters() -> dict[str, int]:
    """The characters that byte-level vocabularies write bytes with: themselves if printable, else those from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
