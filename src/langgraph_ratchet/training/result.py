"""Files by which a training process and the one that started it talk."""

from pathlib import Path

import orjson
from pydantic import ValidationError

from langgraph_ratchet.core.errors import BadInputError, FingerprintError, RatchetError, TrainingFailedError
from langgraph_ratchet.core.model_version import TrainingStatistics

_ERRORS: dict[str, type[RatchetError]] = {
    error.__name__: error for error in (BadInputError, FingerprintError, TrainingFailedError)
}


class Files:
    """Where they lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = folder / "job.json"
        self.progress = folder / "progress.jsonl"
        self.statistics = folder / "statistics.json"
        self.failure = folder / "failure.json"
        self.log = folder / "training.log"

    def clear(self) -> None:
        """Removes what an earlier run of the process left."""
        for path in (self.progress, self.statistics, self.failure):
            path.unlink(missing_ok=True)


def write_statistics(files: Files, statistics: TrainingStatistics) -> None:
    """Says that the adapter is there."""
    files.statistics.write_text(statistics.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_statistics(files: Files) -> TrainingStatistics:
    """What the process measured.

    Raises:
        TrainingFailedError: it left nothing.
    """
    try:
        return TrainingStatistics.model_validate_json(files.statistics.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingFailedError(f"the training process left no statistics in {files.folder}: {error}") from error


def write_failure(files: Files, error: RatchetError) -> None:
    """Says why there is no adapter."""
    files.failure.write_bytes(orjson.dumps({"error": type(error).__name__, "message": str(error)}))


def read_failure(files: Files) -> RatchetError | None:
    """The error that the process ended with, of the same kind where it is one of training's own."""
    if not files.failure.is_file():
        return None
    said = orjson.loads(files.failure.read_bytes())
    return _ERRORS.get(said["error"], TrainingFailedError)(said["message"])
