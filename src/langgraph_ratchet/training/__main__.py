"""The training process: `python -m langgraph_ratchet.training JOB.json`.

Beside the job file it writes `progress.jsonl` (one `Progress` a line) and, at the end, `finished.json` or
`failure.json`. Exit status 0: the adapter is in the job's output folder. 1: it is not, and standard error says why.
A job that is done is not done again, and one that was killed goes on from its last checkpoint.
"""

import argparse
import contextlib
import os
import shutil
import sys
import threading
from pathlib import Path

from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.result import (
    NO_ROOM,
    Files,
    held,
    is_about_room,
    no_room,
    read_finished,
    write_failure,
    write_finished,
)
from langgraph_ratchet.training.trainers import train

_ORPHAN_S = 30.0
"""How long the trainer of a killed caller may take to end."""


def main() -> int:
    """Runs one job; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m langgraph_ratchet.training", description="Run one training job.")
    parser.add_argument("job", type=Path, metavar="JOB.json")
    parser.add_argument("--with-parent", action="store_true", help="end as soon as standard input is closed")
    given = parser.parse_args()
    if given.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    files = Files(given.job.parent)
    try:
        with held(files.training_lock, wait_s=_ORPHAN_S):
            _run(files, Job.read(given.job))
    except RatchetError as error:
        return _failed(files, error)
    except OSError as error:
        if not is_about_room(error):
            raise
        return _failed(files, no_room(files.folder, error))
    return 0


def _run(files: Files, job: Job) -> None:
    if read_finished(files, job) is not None:
        return
    files.clear()
    for other in set(job.checkpoints.parent.glob("*")) - {job.checkpoints}:  # of a job with other settings or data
        shutil.rmtree(other, ignore_errors=True)
    with files.progress.open("a", encoding="utf-8", buffering=1) as progress:

        def say(event: Progress) -> None:
            progress.write(event.model_dump_json() + "\n")

        write_finished(files, job, train(job, say))
    shutil.rmtree(job.checkpoints.parent, ignore_errors=True)


def _failed(files: Files, error: RatchetError) -> int:
    # Not `print`: what it cannot write to a full disk, it tries to write again when the process ends.
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{error}\n".encode())
    try:
        write_failure(files, error)
    except OSError:
        return NO_ROOM
    return 1


def _end_with_parent() -> None:
    """Waits for the pipe from the parent to close, as it does when the parent is killed.

    An orphan would go on writing to the folder in which a resumed run trains anew.
    """
    # Not sys.stdin: a thread that reads it holds a lock that Python wants at the end of the process.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
