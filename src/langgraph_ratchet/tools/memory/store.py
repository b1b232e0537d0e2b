"""The records of an open memory: one Chroma collection for each kind, through langchain-chroma.

One each, since a filter on a kind would cost Chroma forty times what the search does (100,000 records: 175 ms, not 4).
Nothing but Chroma opens its database: another SQLite in the process would drop Chroma's locks on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langgraph_ratchet.core.errors import MemoryStoreError, RatchetError
from langgraph_ratchet.tools.memory.embedding import CheckedEmbeddings
from langgraph_ratchet.tools.memory.manifest import DATABASE
from langgraph_ratchet.tools.memory.record import MemoryKind, Recollection, Record

_NAMES = {MemoryKind.FACT: "facts", MemoryKind.EXPERIENCE: "experiences", MemoryKind.LESSON: "lessons"}
_AT_ONCE = 1_000
# Measured on 100,000 sentences of 512 dimensions: 0.98 of the five nearest are found. With 16, 100 and 200 it is 0.91,
# in half the time of a search (which is a third of `recall`) and a third of that of writing.
_HNSW: Any = {"space": "cosine", "max_neighbors": 32, "ef_construction": 200, "ef_search": 400}


@contextmanager
def speaking_plainly(folder: Path, doing: str) -> Iterator[None]:
    """Turns whatever Chroma, its Rust core and the system raise into a `MemoryStoreError`."""
    try:
        yield
    except RatchetError:
        raise
    except BaseException as error:
        # A panic of Chroma's Rust core is no `Exception`, and must not end the run either.
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
            raise
        raise MemoryStoreError(
            f"the memory {folder} could not be {doing}: {type(error).__name__}: {error}. If this goes on, put back "
            "a copy of the folder, or move it away to begin anew"
        ) from error


class Store:
    """The collections in a folder that this process owns.

    Args:
        folder: it exists.
        embeddings: what compares texts.

    Raises:
        MemoryStoreError: Chroma cannot open it.
    """

    def __init__(self, folder: Path, embeddings: CheckedEmbeddings) -> None:
        from chromadb.api import ServerAPI
        from chromadb.api.client import Client
        from chromadb.config import Settings, System
        from langchain_chroma import Chroma

        self._folder = folder
        with speaking_plainly(folder, "opened"):
            # Without a .env file: it is Ratchet's, and Chroma would take settings of its own from it.
            settings = Settings(
                _env_file=None, is_persistent=True, persist_directory=str(folder), anonymized_telemetry=False
            )
            # As `PersistentClient` does, which would keep a system that could not start, and give it to the next one.
            system = System(settings)
            system.instance(ServerAPI)  # type: ignore[type-abstract]  # Chroma finds the class by its settings
            system.start()
            self._client: Any = Client.from_system(system)
            self._collections = {
                kind: Chroma(name, embeddings, client=self._client, collection_configuration={"hnsw": _HNSW})
                for kind, name in _NAMES.items()
            }
            self._database = (folder / DATABASE).stat()

    def close(self) -> None:
        """Frees the database."""
        with speaking_plainly(self._folder, "closed"):
            self._client.close()

    def check(self) -> None:
        """Raises `MemoryStoreError` when the database is no longer the one that was opened: it would go nowhere."""
        try:
            now = (self._folder / DATABASE).stat()
        except OSError as error:
            raise MemoryStoreError(f"the memory {self._folder} is gone: it was removed while it was open") from error
        if (now.st_dev, now.st_ino) != (self._database.st_dev, self._database.st_ino):
            raise MemoryStoreError(f"the memory {self._folder} was exchanged for another one while it was open")

    def add(self, records: Sequence[Record]) -> None:
        """Writes records; those that are there already are written again. On return they survive the process."""
        with speaking_plainly(self._folder, "written"):
            for kind, collection in self._collections.items():
                of_kind = list({record.id: record for record in records if record.kind is kind}.values())
                for part in _parts(of_kind):
                    collection.add_texts(
                        [record.text for record in part],
                        metadatas=[record.metadata for record in part],
                        ids=[record.id for record in part],
                    )
            self.check()

    def nearest(self, vector: list[float], n: int, kinds: Sequence[MemoryKind]) -> list[Recollection]:
        """Up to `n` records, the nearest first."""
        with speaking_plainly(self._folder, "read"):
            self.check()
            # Their texts are read for the nearest of all kinds only: that takes longer than finding them.
            found = sorted(
                (distance, kind.value, id_) for kind in kinds for id_, distance in self._distances(kind, vector, n)
            )[:n]
            recollections = {}
            for kind in kinds:
                distances = {id_: distance for distance, of, id_ in found if of == kind.value}
                if distances:
                    got = self._collections[kind].get(list(distances), include=["documents", "metadatas"])
                    for id_, text, metadata in zip(got["ids"], got["documents"], got["metadatas"], strict=True):
                        recollections[id_] = Recollection.of(text, metadata, similarity=1 - distances[id_])
        return [recollections[id_] for _, _, id_ in found if id_ in recollections]

    def _distances(self, kind: MemoryKind, vector: list[float], n: int) -> Iterator[tuple[str, float]]:
        collection: Any = self._collections[kind]._collection  # langchain-chroma always reads the texts as well
        got = collection.query(query_embeddings=[vector], n_results=n, include=["distances"])
        yield from zip(got["ids"][0], got["distances"][0], strict=True)

    def records(self, kinds: Sequence[MemoryKind], where: Mapping[str, str] | None = None) -> Iterator[Record]:
        """All records, or those whose metadata are so."""
        for kind in kinds:
            for ids in _parts(self._ids(kind, where)):
                with speaking_plainly(self._folder, "read"):
                    got = self._collections[kind].get(ids=list(ids), include=["documents", "metadatas"])
                for text, metadata in zip(got["documents"], got["metadatas"], strict=True):
                    yield Record.of(text, metadata)

    def delete(self, *, ids: Sequence[str] = (), where: Mapping[str, str] | None = None) -> int:
        """Deletes the records with these ids, or those whose metadata are so; says how many there were."""
        deleted = 0
        with speaking_plainly(self._folder, "written"):
            for kind, collection in self._collections.items():
                for part in _parts(self._ids(kind, where, ids)):
                    collection.delete(list(part))
                    deleted += len(part)
            self.check()
        return deleted

    def embed_again(self) -> None:
        """Gives every record a vector anew, from its text."""
        for kind in MemoryKind:
            for part in _parts(list(self.records([kind]))):
                self.add(part)

    def count(self) -> int:
        """How many records there are."""
        with speaking_plainly(self._folder, "read"):
            self.check()
            return sum(collection._collection.count() for collection in self._collections.values())

    def _ids(self, kind: MemoryKind, where: Mapping[str, str] | None, ids: Sequence[str] = ()) -> list[str]:
        with speaking_plainly(self._folder, "read"):
            self.check()
            chosen: dict[str, Any] = {"ids": list(ids)} if ids else {"where": dict(where) if where else None}
            found: list[str] = self._collections[kind].get(**chosen, include=[])["ids"]
            return found


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """`items`, so many at a time as Chroma takes at once."""
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
