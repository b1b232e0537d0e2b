"""The folder that the file tools work in: every file is reached through descriptors of open folders below it.

A path is walked part by part, each opened below the one before and never through a symbolic link (`O_NOFOLLOW`), so
what is checked is what is used: no exchange of a folder for a link in between leads outside. Only plain files are read
or replaced, and only those with one name, since another name of the same file (a hard link) may lie outside. A folder
that somebody moves out of the root while it is open is left as it was found: that takes rights outside the root.

A file that is written is whole or unchanged: a new file takes the old one's place when all of it is on disk.
"""

import heapq
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from langchain_core.tools import ToolException

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.tools.files.paths import check_new_names, file_parts, parts_of
from langgraph_ratchet.tools.files.reasons import explained

MAX_BYTES = 1_000_000
"""Bytes of a file that is read or written, at most."""
_MAX_SEEN = 100_000
"""Entries of a folder that are looked at; listing one with more ends there."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link, which is not followed",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True)
class Entry:
    """What a folder holds under a name."""

    name: str
    kind: str
    """`file`, `folder` or `other`, which the tools do not open: links, pipes, devices."""
    size: int
    """Bytes; 0 unless it is a file."""


class Root:
    """A folder, and what may be done below it.

    Args:
        folder: its path; it may be a link itself, and is made when first written to.

    Raises:
        BadInputError: this system cannot open files relative to an open folder.
    """

    def __init__(self, folder: Path) -> None:
        _check_platform()
        self._folder = Path(os.path.abspath(folder))  # a later change of the working directory does not move it

    def read(self, path: str) -> bytes:
        """The bytes of a plain file.

        Raises:
            ToolException: it cannot be read; the message says why.
        """
        *folders, name = file_parts(path)
        with explained(path, "read"), self._open(folders) as folder:
            _check_plain(os.stat(name, dir_fd=folder, follow_symlinks=False))  # opening a device may set it going
            # A pipe that took the file's place meanwhile would otherwise wait for its other end.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=folder)
            try:
                status = os.fstat(file)
                _check_plain(status)
                _check_size(status.st_size)
                data = _read_up_to(file, MAX_BYTES + 1)
            finally:
                os.close(file)
            _check_size(len(data))
            return data

    def write(self, path: str, data: bytes) -> bool:
        """Makes `data` the content of a file, whole or not at all; says whether there was one before.

        Folders on the way are made. A file that was there keeps its permissions.

        Raises:
            ToolException: it cannot be written; the message says why, and what was there before is unchanged.
        """
        *folders, name = parts = file_parts(path)
        check_new_names(parts)
        with explained(path, "written"):
            _check_size(len(data))
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._open(folders, make=True) as folder:
                mode = _mode_of(name, folder)
                _replace(name, folder, data, mode)
        return mode is not None

    def entries(self, path: str, most: int) -> tuple[list[Entry], int, bool]:
        """Up to `most` entries of a folder by name, how many there are, and whether all of those were counted.

        Hidden ones are left out. A root that does not exist yet is empty.

        Raises:
            ToolException: it cannot be listed; the message says why.
        """
        parts = parts_of(path)
        if not parts and not self._folder.exists():
            return [], 0, True
        with explained(path, "listed"), self._open(parts) as folder, os.scandir(folder) as found:
            seen = [entry for entry in islice(found, _MAX_SEEN) if not entry.name.startswith(".")]
            first = heapq.nsmallest(most, seen, key=lambda entry: entry.name)
            return [_entry(each) for each in first], len(seen), next(found, None) is None

    @contextmanager
    def _open(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """A descriptor of the folder that `parts` lead to, closed at the end."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts:
                below = _step(folder, part, make=make)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)


def _check_platform() -> None:
    relative = {os.open, os.stat, os.mkdir, os.rename, os.unlink} <= os.supports_dir_fd and os.scandir in os.supports_fd
    if not (relative and hasattr(os, "O_NOFOLLOW") and hasattr(os, "O_DIRECTORY")):
        raise BadInputError(
            "the file tools cannot be used on this system: it opens no file relative to an open folder, so nothing "
            "would keep them inside theirs. Use Linux, macOS or WSL, or leave out read_file, write_file and list_files"
        )


def _step(above: int, name: str, *, make: bool) -> int:
    """A descriptor of the folder `name` in another open one."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
    os.fsync(above)
    return os.open(name, flags, dir_fd=above)


def _check_plain(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ToolException(f"it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'a device')}, not a plain file")
    if status.st_nlink > 1:
        raise ToolException("it has several names (hard links), so it may lie outside the folder of files too")


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ToolException(f"it has {size:,} bytes, a file may have {MAX_BYTES:,}")


def _read_up_to(file: int, limit: int) -> bytes:
    data = bytearray()
    while len(data) < limit and (chunk := os.read(file, limit - len(data))):
        data += chunk
    return bytes(data)


def _mode_of(name: str, folder: int) -> int | None:
    """Permissions of the file that would be replaced; `None` when there is none."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _check_plain(status)
    if not status.st_mode & 0o222:
        raise ToolException("it is read-only")
    return status.st_mode & 0o777


def _replace(name: str, folder: int, data: bytes, mode: int | None) -> None:
    """Puts a file with this content in the place of what has the name."""
    unfinished = f".ratchet-{secrets.token_hex(8)}.new"  # hidden, so that no tool call names it
    try:
        _fill(unfinished, folder, data, mode)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished, dir_fd=folder)
        raise
    os.fsync(folder)


def _fill(name: str, folder: int, data: bytes, mode: int | None) -> None:
    """A new file with this content, on disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    file = os.open(name, flags, 0o666 if mode is None else 0o600, dir_fd=folder)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        if mode is not None:
            os.fchmod(file, mode)
        os.fsync(file)
    finally:
        os.close(file)


def _entry(found: "os.DirEntry[str]") -> Entry:
    if found.is_dir(follow_symlinks=False):
        return Entry(found.name, "folder", 0)
    try:
        status = found.stat(follow_symlinks=False)
    except FileNotFoundError:  # gone since
        return Entry(found.name, "other", 0)
    return Entry(found.name, "file", status.st_size) if stat.S_ISREG(status.st_mode) else Entry(found.name, "other", 0)
