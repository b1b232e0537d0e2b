"""Files that are whole or absent, whatever kills the process or the power.

The order is always: write under another name, fsync the file, rename, fsync the folder. A rename that is not
followed by the last may be undone by a power cut; one that is not preceded by the first may show an empty file.
"""

import hashlib
import os
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def replace_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Makes `data` the content of `path`: readers see the old content or the new, never part of one.

    The caller holds the lock that makes it the only writer. `mode` is what the process' umask may still narrow.
    """
    temporary = path.with_name(f".{path.name}.new")
    write_durably(temporary, data, mode=mode)
    os.replace(temporary, path)
    fsync_folder(path.parent)


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Writes a file and waits until it is on disk. Not atomic: for names that nobody reads yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_durably(source: Path, target: Path) -> str:
    """Copies a file, waits until it is on disk, and returns the SHA-256 of what was written.

    Raises:
        OSError: also when `source` has become a symbolic link.
    """
    digest = hashlib.sha256()
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            while chunk := os.read(reading, _CHUNK_BYTES):
                digest.update(chunk)
                _write_all(writing, chunk)
            os.fsync(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return digest.hexdigest()


def fsync_folder(path: Path) -> None:
    """Waits until the names in a folder are on disk."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def fsync_file(path: Path) -> None:
    """Waits until the content of a file that somebody else wrote is on disk."""
    _fsync(path, os.O_RDONLY)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
