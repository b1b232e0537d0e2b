"""Identities: content hashes for what is equal by content, random ids for what happens once, and clean text."""

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

_CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> bytes:
    """`value` as JSON bytes with sorted keys, so that equal values have equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def content_hash(value: Any) -> str:
    """SHA-256 (64 hex digits) of `value` as canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def content_id(prefix: str, value: Any) -> str:
    """A short id that equal content shares: `prefix` and 20 hex digits (80 bits)."""
    return f"{prefix}_{content_hash(value)[:20]}"


def new_id(prefix: str) -> str:
    """An id for something that happens once: `prefix` and 32 random hex digits."""
    return f"{prefix}_{uuid.uuid4().hex}"


def file_hash(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from labelled parts. Never `seed + index`: neighbouring seeds would share their items."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def clean_text(text: str) -> str:
    """`text` that every store can hold: lone surrogates become U+FFFD, NUL is removed.

    Applied at each boundary where text enters, so that a value read back equals the value written.
    """
    if text.isascii():  # most texts, and a tenth of the time
        return text.replace("\x00", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "")


def clean_json(value: Any) -> Any:
    """`value` with `clean_text` applied to every string in it, keys included."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_json(key): clean_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_json(item) for item in value]
    return value
