"""What a memory's folder says of itself, and whether the files of its index are those that were left there.

Chroma writes its index in place: a process that is killed meanwhile leaves files of which some kill whoever reads them
(measured: a cut `data_level0.bin` ends the process with SIGSEGV). So their hashes are kept while nobody has it open.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from langgraph_ratchet.core.errors import MemoryStoreError
from langgraph_ratchet.core.ids import file_hash
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.registry.files import replace_durably

_FILE = "memory.json"
DATABASE = "chroma.sqlite3"
_INDEX = "index_metadata.pickle"
"""Without this file Chroma reads none of an index's; it is written from the thousandth record of a collection on."""


class State(StrEnum):
    """How far a memory was opened or closed."""

    NEW = "new"
    """Being made: it holds nothing yet."""
    OPEN = "open"
    """A process has it, or had it and was killed."""
    CLOSED = "closed"
    REBUILDING = "rebuilding"
    """Its index is being made anew from its texts."""


class Manifest(Stored):
    """The file `memory.json` in a memory's folder."""

    embeddings: str
    """Name of the embedding that its vectors are of."""
    dimensions: int
    """Numbers of a vector."""
    state: State
    index: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file of the index, by its path in the folder, as it was closed."""

    def write(self, folder: Path) -> None:
        """Replaces the folder's file, whole or not at all."""
        replace_durably(folder / _FILE, self.model_dump_json(indent=2).encode(), mode=0o600)


def read_manifest(folder: Path) -> Manifest | None:
    """What the folder says; `None` when it holds no memory.

    Raises:
        MemoryStoreError: it holds what cannot be used.
    """
    try:
        manifest = Manifest.model_validate_json((folder / _FILE).read_bytes())
    except FileNotFoundError as error:
        if (folder / DATABASE).exists():
            raise MemoryStoreError(
                f"{folder} holds a Chroma database without {_FILE}, so what it is written with is not known: "
                "move it away, or name another folder"
            ) from error
        return None
    except ValidationError as error:
        raise MemoryStoreError(
            f"{folder / _FILE} is damaged: put back a copy of the folder, or move it away to begin anew"
        ) from error
    if manifest.state is not State.NEW and not (folder / DATABASE).is_file():
        raise MemoryStoreError(
            f"the memory {folder} has lost its records: {DATABASE} is not there. Put back a copy of the folder, or "
            "move it away to begin anew"
        )
    return manifest


def index_folders(folder: Path) -> Iterator[Path]:
    """The folders of the index: everything in it can be made anew from the database."""
    yield from (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.is_symlink())


def index_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of the index."""
    files = (file for part in index_folders(folder) for file in sorted(part.iterdir()) if file.is_file())
    return {file.relative_to(folder).as_posix(): file_hash(file) for file in files}


def has_index(folder: Path) -> bool:
    """Whether vectors are kept in files, and not in the database alone."""
    return any((part / _INDEX).exists() for part in index_folders(folder))
