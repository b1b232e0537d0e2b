"""Runs a training job in a process of its own, so that its memory is freed and its crash is not ours."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from langgraph_ratchet.core.errors import TrainingFailedError
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.progress import OnProgress, Progress, silent
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.result import NO_ROOM, Files, held, is_about_room, no_room, read_failure, read_finished
from langgraph_ratchet.training.trainers import TRAINERS

_LOOKED_EVERY_S = 0.05
_LOG_LINES = 8
_CALLER_S = 1.0
"""How long another caller of the same folder may take to go away; one that was killed is gone at once."""


@dataclass(frozen=True)
class TrainedAdapter:
    """What a job left."""

    folder: Path
    """Holds `adapter_model.safetensors` and `adapter_config.json`, nothing else."""
    statistics: TrainingStatistics


def run_job(job: Job, *, folder: Path | None = None, on_progress: OnProgress = silent) -> TrainedAdapter:
    """Trains the job's adapter in a new process and waits for it.

    When this process is interrupted or killed, the other one ends too, and no adapter is left; the same job given
    again goes on from its last checkpoint. A job that is done is not done again.

    Args:
        job: what to train.
        folder: where the job file, the progress, the log and the result are written; `None` is beside `job.out`.
        on_progress: told what the process reports.

    Raises:
        BadInputError: the process could not use what it was given, or another one trains in the same folder.
        FingerprintError: the dataset was recorded with another base, tokenizer or chat template.
        UnknownNameError: there is no such trainer.
        PluginError: another package's trainer cannot be used.
        TrainingFailedError: it failed for another reason; the message ends with the last lines that it printed.
    """
    TRAINERS.check(job.trainer)
    files = Files(folder or job.out.parent)
    try:
        files.folder.mkdir(parents=True, exist_ok=True)
        with held(files.caller_lock, wait_s=_CALLER_S):
            statistics = read_finished(files, job) or _train(files, job, on_progress)
            shutil.rmtree(job.checkpoints.parent, ignore_errors=True)
    except OSError as error:
        if not is_about_room(error):
            raise
        raise no_room(files.folder, error) from error
    return TrainedAdapter(folder=job.out, statistics=statistics)


def _train(files: Files, job: Job, on_progress: OnProgress) -> TrainingStatistics:
    """Runs the process and reads what it left."""
    files.clear()
    job.write(files.job)
    with _process(files) as process:
        read = 0
        while (status := process.poll()) is None:
            read = _pass_on(files.progress, read, on_progress)
            time.sleep(_LOOKED_EVERY_S)
        _pass_on(files.progress, read, on_progress)
    statistics = read_finished(files, job) if status == 0 else None
    if statistics is None:
        raise read_failure(files) or _unexplained(status, files)
    return statistics


@contextmanager
def _process(files: Files) -> Iterator[subprocess.Popen[bytes]]:
    """The running process; it and its children are killed if the caller leaves early."""
    command = [sys.executable, "-m", "langgraph_ratchet.training", str(files.job), "--with-parent"]
    with files.log.open("wb") as log:
        # Its own session: Ctrl-C reaches us alone, and we end the whole group.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _pass_on(progress: Path, read: int, on_progress: OnProgress) -> int:
    """Tells the complete lines from byte `read` on; gives where the next one starts."""
    if not progress.is_file():
        return read
    with progress.open("rb") as file:
        file.seek(read)
        for line in file:
            if not line.endswith(b"\n"):
                break
            read += len(line)
            on_progress(Progress.model_validate_json(line))
    return read


def _unexplained(status: int, files: Files) -> TrainingFailedError:
    if status == NO_ROOM:
        return no_room(files.folder)
    ended = f"exit status {status}"
    if status < 0:
        ended = f"killed by {signal.Signals(-status).name}"
        if -status == signal.SIGKILL:
            ended += "; if nobody killed it, memory ran out: lower batch_tokens"
    elif status == 0:
        ended = "it ended without an adapter"
    last = files.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    return TrainingFailedError("\n".join([f"the training process failed ({ended}); its log is {files.log}", *last]))
