"""Ids are stable for equal content, apart for different content, and text is made storable."""

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from langgraph_ratchet.core.ids import (
    canonical_json,
    clean_json,
    clean_text,
    content_hash,
    content_id,
    derive_seed,
    file_hash,
    new_id,
)
from langgraph_ratchet.core.question import Attachment, Question, QuestionType

any_text = st.text(st.characters(exclude_categories=[]))
"""Lone surrogates and NUL included."""


def test_equal_content_has_an_equal_hash_whatever_the_order_of_its_keys() -> None:
    assert content_hash({"b": 1, "a": [2, None]}) == content_hash({"a": [2, None], "b": 1})
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


def test_content_hash_is_sha256_of_the_canonical_json() -> None:
    assert content_hash(["x"]) == hashlib.sha256(b'["x"]').hexdigest()


def test_content_ids_are_short_and_prefixed() -> None:
    first, second = content_id("q", "one"), content_id("q", "two")
    assert first != second
    prefix, digits = first.split("_")
    assert prefix == "q"
    assert len(digits) == 20
    int(digits, 16)


def test_new_ids_do_not_repeat() -> None:
    assert len({new_id("t") for _ in range(1000)}) == 1000


def test_file_hash_reads_past_one_chunk(tmp_path: Path) -> None:
    data = b"ratchet" * 400_000
    (tmp_path / "file").write_bytes(data)
    assert file_hash(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_seeds_of_neighbours_are_far_apart_and_63_bit() -> None:
    seeds = {derive_seed("suite", 0, index) for index in range(500)} | {
        derive_seed("suite", 1, index) for index in range(500)
    }
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed("a", 1, 2) == derive_seed("a", 1, 2)


def test_seed_parts_are_kept_apart() -> None:
    assert derive_seed("a", 12) != derive_seed("a", 1, 2)
    assert derive_seed("a", 12) != derive_seed("a1", 2)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("naïve 日本 👍", "naïve 日本 👍"),
        ("cut \ud83d off", "cut \ufffd off"),
        ("\udc4d", "\ufffd"),
        ("nul\x00byte", "nulbyte"),
        ("", ""),
    ],
)
def test_clean_text(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_a_surrogate_pair_in_two_halves_becomes_the_character() -> None:
    assert clean_text("\ud83d\udc4d") == "👍"


@given(any_text)
@example("\ud800")
@example("\x00\udfff\x00")
def test_clean_text_can_be_stored_and_read_back_and_is_left_alone_after(text: str) -> None:
    clean = clean_text(text)
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert json.loads(canonical_json(clean)) == clean
    assert clean_text(clean) == clean
    with sqlite3.connect(":memory:") as database:
        assert database.execute("select ?", (clean,)).fetchone()[0] == clean
    database.close()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_text_that_can_be_stored_is_not_changed(text: str) -> None:
    assert clean_text(text) == text


def test_clean_json_reaches_keys_and_nested_values() -> None:
    dirty = {"k\x00": ["\ud800", {"n": ("a\x00", 1, None, True)}]}
    assert clean_json(dirty) == {"k": ["\ufffd", {"n": ["a", 1, None, True]}]}


def test_a_question_is_known_by_all_of_its_content() -> None:
    base = Question(text="Who?")
    others = [
        Question(text="Who"),
        Question(text="Who?", context="Ada"),
        Question(text="Who?", type=QuestionType.LOGICAL),
        Question(text="Who?", attachments=(Attachment(name="a", text="Ada"),)),
        Question(text="Who?", attachments=(Attachment(name="a", text="Bo"),)),
    ]
    assert len({base.id, *(other.id for other in others)}) == 6
    assert Question(text="Who?").id == base.id
