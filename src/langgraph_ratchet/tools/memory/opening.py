"""Opens and closes the folder of a memory, and mends its index where a kill or a fault has damaged it.

The texts are in Chroma's database, which a kill leaves whole; the index follows from them.
"""

import logging
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from langchain_core.embeddings import Embeddings

from langgraph_ratchet.core.errors import MemoryStoreError
from langgraph_ratchet.tools.memory.embedding import CheckedEmbeddings
from langgraph_ratchet.tools.memory.manifest import (
    Manifest,
    State,
    has_index,
    index_folders,
    index_hashes,
    read_manifest,
)
from langgraph_ratchet.tools.memory.owner import Owner
from langgraph_ratchet.tools.memory.store import Store, speaking_plainly

_PROBE = Path(__file__).with_name("probe.py")  # not as a module: that would import the package first
_PROBE_S = 600.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A memory that this process has open."""

    folder: Path
    owner: Owner
    manifest: Manifest
    embeddings: CheckedEmbeddings
    store: Store

    def close(self) -> None:
        """Says what the index was left as, and lets the next one in."""
        try:
            self.store.close()
            with speaking_plainly(self.folder, "closed"):
                self._in_state(State.CLOSED, index_hashes(self.folder))
        finally:
            self.owner.release()

    def abandon(self) -> None:
        """Lets go of a folder that is gone."""
        with suppress(MemoryStoreError):
            self.store.close()
        self.owner.release()

    def _in_state(self, state: State, index: dict[str, str]) -> None:
        self.manifest.model_copy(update={"state": state, "index": index}).write(self.folder)


def open_folder(folder: Path, embeddings: Embeddings, name: str) -> Opened:
    """Opens a memory for this process alone; makes it where there is none.

    Args:
        folder: of the memory.
        embeddings: what compares texts.
        name: the embedding's.

    Raises:
        MemoryStoreError: another process has it, it was written with another embedding, or it cannot be used.
    """
    with speaking_plainly(folder, "opened"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = Owner(folder)
        try:
            manifest = read_manifest(folder) or _made(folder, embeddings, name)
            if manifest.embeddings != name:
                raise MemoryStoreError(_other_embeddings(folder, manifest.embeddings, name))
            checked = CheckedEmbeddings(embeddings, manifest.dimensions, str(folder))
            store = _open(folder, manifest, checked)
        except BaseException:
            owner.release()
            raise
    return Opened(folder, owner, manifest, checked, store)


def _made(folder: Path, embeddings: Embeddings, name: str) -> Manifest:
    """The manifest of a new memory. An embedding is asked for its dimension here, and then no more."""
    dimensions = len(CheckedEmbeddings(embeddings, None, str(folder)).embed_query("dimension"))
    manifest = Manifest(embeddings=name, dimensions=dimensions, state=State.NEW)
    manifest.write(folder)
    return manifest


def _open(folder: Path, manifest: Manifest, embeddings: CheckedEmbeddings) -> Store:
    if _is_damaged(folder, manifest):
        return _rebuilt(folder, manifest, embeddings)
    store = Store(folder, embeddings)
    manifest.model_copy(update={"state": State.OPEN, "index": {}}).write(folder)
    return store


def _is_damaged(folder: Path, manifest: Manifest) -> bool:
    match manifest.state:
        case State.CLOSED:
            return index_hashes(folder) != manifest.index
        case State.OPEN:
            return has_index(folder) and not _can_be_read(folder)
        case _:
            return manifest.state is State.REBUILDING


def _can_be_read(folder: Path) -> bool:
    """Whether another process reads it without dying of it."""
    command = [sys.executable, "-P", str(_PROBE), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _rebuilt(folder: Path, manifest: Manifest, embeddings: CheckedEmbeddings) -> Store:
    """The memory with a new index; killed meanwhile, it begins again when it is next opened."""
    _LOG.warning("the index of the memory %s is damaged and is made anew from its texts", folder)
    manifest.model_copy(update={"state": State.REBUILDING, "index": {}}).write(folder)
    for part in index_folders(folder):
        shutil.rmtree(part)
    store = Store(folder, embeddings)
    try:
        store.embed_again()
        manifest.model_copy(update={"state": State.OPEN, "index": {}}).write(folder)
    except BaseException:
        store.close()
        raise
    return store


def _other_embeddings(folder: Path, written: str, given: str) -> str:
    return (
        f"the memory {folder} was written with the embedding {written!r}, and is opened with {given!r}, which cannot "
        f"be compared: use {written!r} (RATCHET_EMBEDDINGS, or Memory(embeddings=...)), or copy its texts to a new "
        "folder: Memory(new_folder, embeddings=...).copy_from(folder)"
    )
