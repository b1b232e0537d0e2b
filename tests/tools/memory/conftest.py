"""Memories in folders of their own."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tools.memory.small_embeddings import SmallEmbeddings

from langgraph_ratchet.tools.memory import Memory


@pytest.fixture
def small() -> Callable[..., SmallEmbeddings]:
    return SmallEmbeddings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.fixture
def opened() -> Iterator[Callable[..., Memory]]:
    """Makes memories that are closed in the end."""
    made: list[Memory] = []

    def make(folder: Path, **settings: Any) -> Memory:
        made.append(Memory(folder, **settings))
        return made[-1]

    yield make
    for memory in made:
        memory.close()


@pytest.fixture
def memory(opened: Callable[..., Memory], folder: Path) -> Memory:
    return opened(folder)


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """The big list of naughty strings, which is not part of the project, or a few of our own."""
    folder = os.environ.get("RATCHET_TEST_DATA")
    if folder:
        blns = Path(folder) / "security" / "blns" / "blns.json"
        strings: list[str] = json.loads(blns.read_text(encoding="utf-8"))
        return strings
    print("not verified here: all naughty strings are remembered (RATCHET_TEST_DATA is not set)")
    return [
        "undefined",
        "1/0",
        "\u202etest\u202e",
        "Z̮̞̠͙͔ͅ",
        "<script>alert(1)</script>",
        "👩🏽",
        "'; DROP",
        "%s%x",
        "\ufeff",
        "\u200b",
    ]
