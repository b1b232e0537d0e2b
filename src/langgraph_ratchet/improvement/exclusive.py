"""One process at a time improves a registry, and one at a time a run folder.

Held per process, not per thread: a server may run several graphs, and what they share is kept right by the registry's
compare-and-set and by ids that follow from content. The system frees the locks when the process ends, however it ends.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from langgraph_ratchet.core.errors import BadInputError, DiskError

_LOCK = ".improve.lock"
_HOLDER = ".improve.pid"

_locks: dict[Path, FileLock] = {}
_guard = threading.Lock()


@contextmanager
def exclusive(*folders: Path) -> Iterator[None]:
    """Holds the folders while the block runs; a process that holds one already may hold it again.

    Raises:
        BadInputError: another process holds one; it says which process.
        DiskError: a lock file could not be made.
    """
    with ExitStack() as held:
        for folder in sorted({folder.resolve() for folder in folders}):
            held.enter_context(_one(folder))
        yield


@contextmanager
def _one(folder: Path) -> Iterator[None]:
    with _guard:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Any thread may release it: LangGraph runs nodes in threads of their own.
            lock = _locks.setdefault(folder, FileLock(folder / _LOCK, timeout=0, thread_local=False))
            lock.acquire()
        except Timeout as error:
            raise BadInputError(
                f"another process ({_holder(folder)}) improves with {folder}: wait until it has ended, or end it; "
                "or use another registry and folder (MODEL_SAVE_PATH, TRAINING_DATA_PATH)"
            ) from error
        except OSError as error:
            raise DiskError(folder / _LOCK, error) from error
        with suppress(OSError):  # only a help for whoever is refused
            (folder / _HOLDER).write_text(str(os.getpid()), encoding="ascii")
    try:
        yield
    finally:
        with _guard:
            lock.release()


def _holder(folder: Path) -> str:
    with suppress(OSError):
        return f"process {(folder / _HOLDER).read_text(encoding='ascii')}"
    return "it has not said which"
