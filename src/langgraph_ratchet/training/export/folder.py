"""The folder that an export leaves: there whole, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from langgraph_ratchet.core.errors import BadInputError, ExportError
from langgraph_ratchet.registry.files import fsync_file, fsync_folder

RECORD = "ratchet.json"
"""The file by which a folder that an export wrote is known."""


@contextmanager
def new_folder(out: Path, *, replace: bool) -> Iterator[Path]:
    """An empty folder beside `out`, which takes that name when the block ends well and is removed when it does not.

    Args:
        out: the name that the folder gets. Its parent is made if it is missing.
        replace: whether an earlier export may be there. It is kept until the new one is whole.

    Raises:
        BadInputError: something is there already, or another process exports to the same place.
        ExportError: the folder could not be written.
    """
    from safetensors import SafetensorError

    out = Path(os.path.abspath(out))
    check_free(out, replace=replace)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock_path = out.with_name(f".{out.name}.exporting")
        with FileLock(lock_path, timeout=0):
            unfinished = out.with_name(f".{out.name}.unfinished")
            try:
                shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed: the lock is ours
                unfinished.mkdir()
                yield unfinished
                _make_durable(unfinished)
                check_free(out, replace=replace)
                _rename(unfinished, out)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
                lock_path.unlink(missing_ok=True)
    except Timeout as error:
        raise BadInputError(f"another process is exporting to {out}: wait for it, or choose another folder") from error
    except (OSError, SafetensorError) as error:  # safetensors says so that the disk is full
        raise ExportError(
            f"the model could not be exported to {out}: {error}. See that the disk has room and the folder may be "
            "written, then try again; nothing half-made is left"
        ) from error


def check_free(out: Path, *, replace: bool) -> None:
    """Raises `BadInputError` unless nothing is at `out`, or an export that may be replaced."""
    if not os.path.lexists(out):
        return
    if not replace:
        raise BadInputError(f"{out} is there already: choose another folder, or replace an earlier export with --force")
    if not (out / RECORD).is_file():
        raise BadInputError(
            f"{out} is no earlier export (it holds no {RECORD}), so not even --force replaces it: choose another "
            "folder, or remove it yourself"
        )


def _make_durable(folder: Path) -> None:
    for path in folder.iterdir():
        fsync_file(path) if path.is_file() else _make_durable(path)
    fsync_folder(folder)


def _rename(unfinished: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.rename(out, old)
    try:
        os.rename(unfinished, out)
    except OSError:
        if old.exists():
            os.rename(old, out)
        raise
    fsync_folder(out.parent)
    shutil.rmtree(old, ignore_errors=True)
