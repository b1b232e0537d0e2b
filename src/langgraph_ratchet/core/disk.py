"""Where Ratchet writes: whether it may, and how much room there is."""

import os
import shutil
import tempfile
from pathlib import Path

from langgraph_ratchet.core.finding import Finding, State

LITTLE_BYTES = 1 << 30
"""Less free room than this is said: traces, checkpoints and adapters of one round on a small model fit, hardly more."""


def check_folder(name: str, folder: Path) -> Finding:
    """A folder that Ratchet writes to, or that it would make: nothing is left there.

    Args:
        name: what it is for.
        folder: its path; where it does not exist yet, the nearest folder above it is tried.
    """
    folder = Path(os.path.abspath(folder))
    above = next(path for path in (folder, *folder.parents) if path.exists())
    fault = _fault(above)
    free = shutil.disk_usage(above).free
    facts = {"path": str(folder), "exists": above == folder, "writable": fault is None, "free_bytes": free}
    said = f"{folder}: {_size(free)} free" + ("" if above == folder else "; made when first written to")
    if fault is not None:
        fix = f"let this user write to {above}, or set another folder in the environment or in .env"
        return Finding("disk", name, State.BROKEN, f"{folder} cannot be written: {fault}", fix, facts)
    if free < LITTLE_BYTES:
        fix = f"make room: below {_size(LITTLE_BYTES)} a round of improvement may not end"
        return Finding("disk", name, State.LACK, said, fix, facts)
    return Finding("disk", name, State.OK, said, None, facts)


def _fault(folder: Path) -> str | None:
    """Why no file can be made there; asked by making one, since permissions alone do not tell of a full disk."""
    if not folder.is_dir():
        return f"{folder} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"ratchet doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _size(size: int) -> str:
    return f"{size / (1 << 30):,.1f} GiB"
