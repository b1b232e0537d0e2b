"""One process owns a memory's folder; a second one is refused at once.

Chroma itself would let it in, and hang or damage its index. The system frees the lock when the owner ends, however it
ends. A process that was forked by the owner does not own it, although it inherits everything.
"""

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from langgraph_ratchet.core.errors import MemoryStoreError

_LOCK = ".lock"
_HOLDER = ".owner"


class Owner:
    """Holds a folder from its making until `release`.

    Args:
        folder: it exists.

    Raises:
        MemoryStoreError: another process holds it; it says which. Or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._pid = folder, os.getpid()
        # Any thread may release it: the graph runs its nodes, and the tools, in threads of their own.
        self._lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
            (folder / _HOLDER).write_text(str(self._pid), encoding="ascii")
        except Timeout as error:
            raise MemoryStoreError(
                f"another process ({_holder(folder)}) has the memory {folder} open, and one at a time may: wait until "
                "it has ended, or use another folder (TRAINING_DATA_PATH)"
            ) from error
        except OSError as error:
            self._lock.release()
            raise MemoryStoreError(
                f"the memory {folder} cannot be opened: {error}. Let this user write to the folder, or use another "
                "one (TRAINING_DATA_PATH)"
            ) from error

    def check(self) -> None:
        """Raises `MemoryStoreError` in a process that was forked by the owner."""
        if os.getpid() != self._pid:
            raise MemoryStoreError(
                f"the memory {self._folder} was opened by the process {self._pid}, which forked this one: open it "
                "after the fork, or start processes instead of forking them"
            )

    def release(self) -> None:
        """Lets the next one in."""
        self._lock.release()


def _holder(folder: Path) -> str:
    with suppress(OSError):
        return f"process {(folder / _HOLDER).read_text(encoding='ascii')}"
    return "it has not said which"
