"""Files by which a training process and the one that started it talk."""

import contextlib
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from filelock import FileLock, Timeout
from pydantic import ValidationError

from langgraph_ratchet.core.errors import (
    BadInputError,
    FingerprintError,
    MissingExtraError,
    PluginError,
    RatchetError,
    TrainingFailedError,
)
from langgraph_ratchet.core.ids import file_hash
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.registry.files import replace_durably
from langgraph_ratchet.training.job import Job

NO_ROOM = 74
"""Exit status of a training process that could not even write why it failed."""

_ABOUT_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES)

_ERRORS: dict[str, type[RatchetError]] = {
    error.__name__: error
    for error in (BadInputError, FingerprintError, MissingExtraError, PluginError, TrainingFailedError)
}


class Finished(Stored):
    """Says that a job is done, and by which files it can be known that it is still so."""

    job: str
    """The job's hash."""
    files: dict[str, str]
    """File name in the adapter's folder to SHA-256."""
    statistics: TrainingStatistics


class Files:
    """Where they lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = folder / "job.json"
        self.progress = folder / "progress.jsonl"
        self.finished = folder / "finished.json"
        self.failure = folder / "failure.json"
        self.log = folder / "training.log"
        self.caller_lock = folder / ".caller.lock"
        """Held by the process that waits for the training."""
        self.training_lock = folder / ".training.lock"
        """Held by the process that trains. It may outlive the other one by a moment, so one lock would not do."""

    def clear(self) -> None:
        """Removes what an earlier run of the process left."""
        for path in (self.progress, self.finished, self.failure):
            path.unlink(missing_ok=True)


@contextmanager
def held(lock: Path, *, wait_s: float) -> Iterator[None]:
    """Holds one of the locks; the system frees it when the process ends, however it ends.

    Raises:
        BadInputError: another process holds it, after `wait_s` seconds still.
    """
    try:
        waiting = FileLock(lock, timeout=wait_s)
        waiting.acquire()
    except Timeout as error:
        raise BadInputError(
            f"another process trains in {lock.parent} already: wait for it, or end it and start again"
        ) from error
    try:
        yield
    finally:
        waiting.release()


def write_finished(files: Files, job: Job, statistics: TrainingStatistics) -> None:
    """Says that the adapter is there."""
    finished = Finished(job=job.hash, files=_hashes(job.out), statistics=statistics)
    replace_durably(files.finished, finished.model_dump_json(indent=2).encode())


def read_finished(files: Files, job: Job) -> TrainingStatistics | None:
    """What this very job measured, if it is done and its adapter is as it was left; else `None`."""
    try:
        finished = Finished.model_validate_json(files.finished.read_bytes())
        same = finished.job == job.hash and finished.files == _hashes(job.out)
    except (OSError, ValidationError):
        return None
    return finished.statistics if same else None


def write_failure(files: Files, error: RatchetError) -> None:
    """Says why there is no adapter."""
    files.failure.write_bytes(orjson.dumps({"error": type(error).__name__, "message": str(error)}))


def read_failure(files: Files) -> RatchetError | None:
    """The error that the process ended with, of the same kind where it is one of training's own."""
    with contextlib.suppress(OSError, ValueError):
        said = orjson.loads(files.failure.read_bytes())
        kind = _ERRORS.get(said["error"], TrainingFailedError)
        return kind.__new__(kind, said["message"])  # the message is whole: nothing is to be made of it
    return None


def is_about_room(error: OSError) -> bool:
    """Whether the disk is why something could not be written: full, broken, or not ours to write to."""
    return error.errno in _ABOUT_ROOM


def no_room(folder: Path, error: OSError | None = None) -> TrainingFailedError:
    """The error of a job that could not write."""
    reason = f" ({error})" if error else ""
    return TrainingFailedError(
        f"the training job could not write to {folder}{reason}: see that the disk has room and the folder may be "
        "written, then run the same again; it goes on from its last checkpoint"
    )


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: file_hash(path) for path in folder.iterdir()}
