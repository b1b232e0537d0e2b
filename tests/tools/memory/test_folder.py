"""The folder of a memory: one process at a time, and what happens when it is lost, exchanged or damaged."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tools.memory.small_embeddings import SmallEmbeddings

from langgraph_ratchet.core.errors import MemoryStoreError, SchemaVersionError
from langgraph_ratchet.tools.memory import Memory, Record

OTHER = """
import sys, time
from langgraph_ratchet.core.errors import MemoryStoreError
from langgraph_ratchet.tools.memory import Memory
memory = Memory(sys.argv[1])
for use in (lambda: memory.recall("text"), lambda: memory.remember("text", writer="w", trust="own")):
    started = time.perf_counter()
    try:
        use()
        print("let in")
    except MemoryStoreError as error:
        print(time.perf_counter() - started < 1, "chromadb" in sys.modules, error)
"""


def test_a_second_process_is_refused_at_once(memory: Memory, folder: Path) -> None:
    memory.remember("text", writer="w", trust="own")
    refused = subprocess.run([sys.executable, "-c", OTHER, str(folder)], capture_output=True, text=True, check=True)
    told = f"another process (process {os.getpid()}) has the memory {folder} open, and one at a time may: wait until"
    for line in refused.stdout.splitlines():
        # Before Chroma is touched, which would let it in.
        assert line.startswith(f"True False {told}")
    assert len(refused.stdout.splitlines()) == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_its_owner_forked_is_refused_and_lets_nobody_in(memory: Memory, folder: Path) -> None:
    memory.remember("text", writer="w", trust="own")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # Chroma would wait for threads that a fork does not take along
        try:
            memory.recall("text")
            os.write(writing, b"let in")
        except MemoryStoreError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as pipe:
        assert f"was opened by the process {os.getpid()}, which forked this one" in pipe.read().decode()
    refused = subprocess.run([sys.executable, "-c", OTHER, str(folder)], capture_output=True, text=True, check=True)
    assert "let in" not in refused.stdout
    assert len(memory) == 1


def test_memories_of_one_folder_in_a_process_share_it(opened: Callable[..., Memory], folder: Path) -> None:
    one, other = opened(folder), opened(folder / "." / ".." / "memory")
    one.remember("text", writer="w", trust="own")
    assert len(other) == 1
    other.close()
    assert one.recall("text")


def test_a_folder_that_is_removed_while_it_is_open_is_said_and_then_begun_anew(memory: Memory, folder: Path) -> None:
    memory.remember("text", writer="w", trust="own")
    shutil.rmtree(folder)
    with pytest.raises(MemoryStoreError, match="is gone: it was removed while it was open"):
        memory.remember("lost", writer="w", trust="own")
    assert memory.recall("text") == []
    memory.remember("found", writer="w", trust="own")
    memory.close()
    assert [each.text for each in memory.records()] == ["found"]


def test_a_folder_that_is_exchanged_while_it_is_open_is_said(
    memory: Memory, opened: Callable[..., Memory], folder: Path, tmp_path: Path
) -> None:
    other = opened(tmp_path / "other")
    other.remember("other", writer="w", trust="own")
    other.close()
    memory.remember("text", writer="w", trust="own")
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "other", folder)
    with pytest.raises(MemoryStoreError, match="was exchanged for another one"):
        memory.recall("text")
    assert [each.text for each in memory.recall("other")] == ["other"]


def _garbage(folder: Path) -> None:
    (folder / "chroma.sqlite3").write_bytes(b"garbage" * 1_000)


def _cut(folder: Path) -> None:
    os.truncate(folder / "chroma.sqlite3", 50_000)


def _lost(folder: Path) -> None:
    (folder / "chroma.sqlite3").unlink()


def _unread(folder: Path) -> None:
    (folder / "memory.json").write_text("{")


def _unsaid(folder: Path) -> None:
    (folder / "memory.json").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_garbage, "could not be opened: .*not a database.*put back a copy of the folder, or move it away"),
        (_cut, "could not be opened: .*malformed"),
        (_lost, "has lost its records: chroma.sqlite3 is not there. Put back a copy"),
        (_unread, "memory.json is damaged: put back a copy"),
        (_unsaid, "a Chroma database without memory.json"),
    ],
)
def test_damage_is_said_and_nothing_is_overwritten(
    memory: Memory, folder: Path, damage: Callable[[Path], None], said: str
) -> None:
    memory.remember("text", writer="w", trust="own")
    memory.close()
    damage(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix}
    for use in (lambda: memory.recall("text"), lambda: memory.remember("more", writer="w", trust="own")):
        with pytest.raises(MemoryStoreError, match=said):
            use()
    memory.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix} == before
    shutil.rmtree(folder)  # what the message says to do
    memory.remember("anew", writer="w", trust="own")
    assert len(memory) == 1


def test_a_memory_of_a_later_version_is_refused(memory: Memory, folder: Path) -> None:
    memory.remember("text", writer="w", trust="own")
    memory.close()
    manifest = json.loads((folder / "memory.json").read_text())
    (folder / "memory.json").write_text(json.dumps({**manifest, "schema_version": 2, "more": 1}))
    with pytest.raises(SchemaVersionError, match="schema version 2, this version of langgraph-ratchet reads 1"):
        memory.recall("text")


def test_a_folder_that_cannot_be_made_is_said(opened: Callable[..., Memory], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MemoryStoreError, match="could not be opened: NotADirectoryError"):
        opened(tmp_path / "file" / "memory").remember("text", writer="w", trust="own")


# The index: Chroma writes it in place, and dies of some of what a kill can leave.

COUNT = 1_100


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a memory that is so large that its index lies in files."""
    folder = tmp_path_factory.mktemp("indexed") / "memory"
    now = time.time()
    with Memory(folder, embeddings=SmallEmbeddings()) as memory:
        memory.add(
            Record(text=f"w{n} w{n // 7} w{n // 49}", kind="fact", writer="w", run=f"r{n}", trust="own", written_at=now)
            for n in range(COUNT)
        )
        assert memory.recall("w5 w0 w0")[0].text == "w5 w0 w0"
    return folder


def _index_file(folder: Path, name: str) -> Path:
    return max(folder.glob(f"*/{name}"), key=lambda path: path.stat().st_size)


def _cut_vectors(folder: Path) -> None:
    os.truncate(_index_file(folder, "data_level0.bin"), 1_000)


def _no_vectors(folder: Path) -> None:
    path = _index_file(folder, "data_level0.bin")
    path.write_bytes(b"\xff" * path.stat().st_size)


def _no_ids(folder: Path) -> None:
    _index_file(folder, "index_metadata.pickle").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (_cut_vectors, "closed"),
        (_no_vectors, "closed"),
        (_no_ids, "closed"),
        (_cut_vectors, "open"),
        pytest.param(_no_vectors, "open", marks=pytest.mark.slow),
        pytest.param(_no_ids, "open", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_index_is_made_anew_from_the_texts(
    indexed: Path,
    folder: Path,
    small: Any,
    opened: Callable[..., Memory],
    damage: Callable[[Path], None],
    state: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(indexed, folder)
    damage(folder)
    # As a kill leaves it, or as it is when a disk fails between two runs.
    manifest = json.loads((folder / "memory.json").read_text())
    (folder / "memory.json").write_text(json.dumps({**manifest, "state": state}))
    memory = opened(folder, embeddings=small())
    assert memory.recall("w1003 w143 w20")[0].text == "w1003 w143 w20"
    assert "is damaged and is made anew from its texts" in caplog.text
    assert len(memory) == COUNT
    assert memory.forget(run="r1003") == 1
    memory.close()
    caplog.clear()
    assert memory.recall("w1004 w143 w20")[0].text == "w1004 w143 w20"
    assert caplog.text == ""


def test_what_was_being_made_anew_when_it_was_killed_is_begun_again(
    indexed: Path, folder: Path, small: Any, opened: Callable[..., Memory], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(indexed, folder)
    for part in folder.iterdir():
        if part.is_dir():
            shutil.rmtree(part)
    manifest = json.loads((folder / "memory.json").read_text())
    (folder / "memory.json").write_text(json.dumps({**manifest, "state": "rebuilding", "index": {}}))
    memory = opened(folder, embeddings=small())
    assert memory.recall("w5 w0 w0")[0].text == "w5 w0 w0"
    assert "is made anew" in caplog.text


@pytest.mark.slow
def test_a_memory_that_was_not_closed_and_is_sound_is_not_made_anew(
    indexed: Path, folder: Path, small: Any, opened: Callable[..., Memory], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(indexed, folder)
    manifest = json.loads((folder / "memory.json").read_text())
    (folder / "memory.json").write_text(json.dumps({**manifest, "state": "open", "index": {}}))
    memory = opened(folder, embeddings=small())
    assert memory.recall("w5 w0 w0")[0].text == "w5 w0 w0"
    assert caplog.text == ""
