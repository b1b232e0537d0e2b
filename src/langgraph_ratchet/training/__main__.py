"""The training process: `python -m langgraph_ratchet.training JOB.json`.

Beside the job file it writes `progress.jsonl` (one `Progress` a line) and, at the end, `statistics.json` or
`failure.json`. Exit status 0: the adapter is in the job's output folder. 1: it is not, and standard error says why.
"""

import argparse
import os
import sys
import threading
from pathlib import Path

from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.result import Files, write_failure, write_statistics


def main() -> int:
    """Runs one job; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m langgraph_ratchet.training", description="Run one training job.")
    parser.add_argument("job", type=Path, metavar="JOB.json")
    parser.add_argument("--with-parent", action="store_true", help="end as soon as standard input is closed")
    given = parser.parse_args()
    if given.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    files = Files(given.job.parent)
    files.clear()
    try:
        job = Job.read(given.job)
        from langgraph_ratchet.training.sft import train_adapter

        with files.progress.open("a", encoding="utf-8", buffering=1) as progress:

            def say(event: Progress) -> None:
                progress.write(event.model_dump_json() + "\n")

            write_statistics(files, train_adapter(job, say))
    except RatchetError as error:
        write_failure(files, error)
        print(error, file=sys.stderr)
        return 1
    return 0


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
