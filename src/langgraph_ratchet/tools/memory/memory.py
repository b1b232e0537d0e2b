"""A memory: what is remembered in one folder, found by what it says, and forgotten by where it came from."""

import atexit
import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from langchain_core.embeddings import Embeddings

from langgraph_ratchet.core.errors import BadInputError, MemoryStoreError, MissingExtraError
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.memory.embedding import LexicalEmbeddings, name_of_embeddings, resolve_embeddings
from langgraph_ratchet.tools.memory.manifest import read_manifest
from langgraph_ratchet.tools.memory.opening import Opened, open_folder
from langgraph_ratchet.tools.memory.record import MemoryKind, Recollection, Record, new_record

_SPARE = 4
"""How many times more is looked up than is wanted: the same text may be there several times."""
_LOG = logging.getLogger(__name__)


class Memory:
    """What is remembered in a folder. It is opened when it is first used, and closed when the process ends.

    All memories of one folder in a process share what is open, in any number of threads; another process is refused.

    Args:
        folder: made when something is first remembered.
        embeddings: any embedding of LangChain; `None`: hashed n-grams, which work offline and know no meaning.
        embeddings_name: tells it from others; `None`: its class and model.
        least_similarity: cosine below which a record is not found; `None`: 0.2 for hashed n-grams, else 0.
        keep_experiences: whether a reasoning graph that has this memory remembers its runs: those that ended with an
            answer and read no untrusted text.

    Raises:
        MissingExtraError: what it needs is not installed.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        embeddings: Embeddings | None = None,
        embeddings_name: str | None = None,
        least_similarity: float | None = None,
        keep_experiences: bool = False,
    ) -> None:
        lexical = LexicalEmbeddings() if embeddings is None else embeddings
        needed = ("chromadb", "langchain_chroma", *(["sklearn"] if isinstance(lexical, LexicalEmbeddings) else []))
        if any(find_spec(name) is None for name in needed):
            raise MissingExtraError("memory", "memory")
        self.folder = Path(folder).resolve()
        self.keep_experiences = keep_experiences
        self._embeddings = lexical
        self._name = embeddings_name or name_of_embeddings(lexical)
        usual = lexical.least_similarity if isinstance(lexical, LexicalEmbeddings) else 0.0
        self._least_similarity = usual if least_similarity is None else least_similarity

    def remember(
        self,
        text: str,
        *,
        writer: str,
        trust: Trust | str,
        kind: MemoryKind | str = MemoryKind.FACT,
        source: str | None = None,
        run: str | None = None,
    ) -> str:
        """Writes a record; on return it survives the process, however that ends.

        Args:
            text: complete in itself, at most 8,000 characters.
            writer: who wrote it.
            trust: `untrusted` for other people's text, and for what a run wrote that had read some.
            kind: a fact, an experience or a lesson.
            source: what it was taken from; `None`: nothing outside.
            run: id of the run it was written in; `None`: none.

        Returns:
            The record's id. The same record has the same id, and is there once.

        Raises:
            BadInputError: it cannot be a record.
            MemoryStoreError: the memory cannot be written.
        """
        record = new_record(
            text=text, kind=kind, writer=writer, source=source, run=run, trust=trust, written_at=time.time()
        )
        self.add([record])
        return record.id

    def add(self, records: Iterable[Record]) -> int:
        """Writes many records at once; says how many were given.

        Raises:
            MemoryStoreError: the memory cannot be written.
        """
        given = [record if type(record) is Record else Record.of(record.text, record.metadata) for record in records]
        self._open().store.add(given)
        return len(given)

    def recall(
        self, query: str, *, k: int = 5, kinds: Collection[MemoryKind | str] | None = None
    ) -> list[Recollection]:
        """The records that are most like `query`, the best first; each text once; none where none is alike.

        Args:
            query: what to look for.
            k: most records.
            kinds: which to look through; `None`: all.

        Raises:
            BadInputError: a kind does not exist, or `k` is no number of records.
            MemoryStoreError: the memory cannot be read.
        """
        if k < 1:
            raise BadInputError(f"recall takes k from 1, got {k}")
        chosen = _kinds(kinds)
        asked = clean_text(query)
        if not asked.strip() or not self._exists():
            return []
        opened = self._open()
        found = opened.store.nearest(opened.embeddings.embed_query(asked), _SPARE * k, chosen)
        best: dict[str, Recollection] = {}
        for each in found:
            if each.similarity >= self._least_similarity:
                # Where the same text is trusted and untrusted, it is trusted.
                known = best.setdefault(each.text, each)
                best[each.text] = each if known.trust is Trust.UNTRUSTED and each.trust is Trust.OWN else known
        return list(best.values())[:k]

    def forget(self, *, source: str | None = None, run: str | None = None, id: str | None = None) -> int:
        """Deletes the records of a source or a run, or the one with an id; says how many there were.

        Raises:
            BadInputError: none of the three was given, or more than one.
            MemoryStoreError: the memory cannot be written.
        """
        given = {name: value for name, value in (("source", source), ("run", run), ("id", id)) if value is not None}
        if len(given) != 1:
            raise BadInputError(f"forget takes one of source, run and id, got {', '.join(given) or 'none'}")
        if not self._exists():
            return 0
        if id is not None:
            return self._open().store.delete(ids=[id])
        return self._open().store.delete(where={name: clean_text(value) for name, value in given.items()})

    def records(self, kinds: Collection[MemoryKind | str] | None = None) -> Iterator[Record]:
        """All records, kind by kind.

        Raises:
            BadInputError: a kind does not exist.
            MemoryStoreError: the memory cannot be read.
        """
        chosen = _kinds(kinds)
        if self._exists():
            yield from self._open().store.records(chosen)

    def copy_from(self, folder: Path | str) -> int:
        """Writes the records of another memory into this one, whatever embedding that was written with.

        Raises:
            MemoryStoreError: one of them cannot be used.
        """
        other = Path(folder).resolve()
        manifest = read_manifest(other) if other != self.folder else None
        if manifest is None:
            raise MemoryStoreError(f"{other} holds no other memory than this one to copy from")
        # Reading needs no embedding; this one would be refused if it were asked for a vector.
        with Memory(other, embeddings=self._embeddings, embeddings_name=manifest.embeddings) as old:
            return self.add(old.records())

    def __len__(self) -> int:
        return self._open().store.count() if self._exists() else 0

    def __bool__(self) -> bool:
        return True  # a memory that holds nothing is a memory

    def close(self) -> None:
        """Lets other processes in. Whoever uses it again opens it again.

        Raises:
            MemoryStoreError: what was open could not be closed in order; it is mended when it is next opened.
        """
        with _guard:
            opened = _opened.pop(self.folder, None)
        if opened is not None:
            opened.owner.check()
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _exists(self) -> bool:
        """Whether there is something to read: looking for it makes no folder."""
        return self.folder in _opened or read_manifest(self.folder) is not None

    def _open(self) -> Opened:
        with _guard:
            opened = _opened.get(self.folder)
            if opened is None:
                opened = _opened[self.folder] = open_folder(self.folder, self._embeddings, self._name)
            opened.owner.check()
            try:
                opened.store.check()
            except MemoryStoreError:
                # Said once; whoever asks again gets what is in the folder then.
                del _opened[self.folder]
                opened.abandon()
                raise
        if opened.manifest.embeddings != self._name:
            raise MemoryStoreError(
                f"the memory {self.folder} is open in this process with the embedding {opened.manifest.embeddings!r}, "
                f"and {self._name!r} cannot be compared: close it first"
            )
        return opened


_opened: dict[Path, Opened] = {}
"""What this process has open."""
_guard = threading.RLock()


def settings_memory(settings: Settings | None = None) -> Memory:
    """The memory that the settings name; `None` reads them.

    Raises:
        MissingExtraError: what it needs is not installed.
        BadInputError: the embedding in the settings cannot be made.
    """
    read = settings or Settings()
    embeddings = resolve_embeddings(read.ratchet_embeddings)
    return Memory(read.memory_folder, embeddings=embeddings, keep_experiences=read.ratchet_keep_experiences)


def _kinds(given: Collection[MemoryKind | str] | None) -> list[MemoryKind]:
    if given is None:
        return list(MemoryKind)
    try:
        return [MemoryKind(kind) for kind in dict.fromkeys(given)]
    except ValueError as error:
        raise BadInputError(f"{error}; kinds of records: {', '.join(MemoryKind)}") from error


@atexit.register
def _close_all() -> None:
    for opened in list(_opened.values()):
        try:
            opened.owner.check()
            opened.close()
        except MemoryStoreError as error:  # the next one who opens it sees to it
            _LOG.warning("%s", error)
