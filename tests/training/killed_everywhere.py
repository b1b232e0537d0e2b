"""Kills a training job before each of its calls that change a file, and resumes it: `killed_everywhere.py JOB.json`.

A process of its own, because a process that has trained cannot be forked to train again. Prints what came of it.
"""

import collections
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from langgraph_ratchet.chat_models.base import load_base
from langgraph_ratchet.training import __main__ as training, sft  # noqa: F401  # imported once, not in every child
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.result import Files

CHANGING = frozenset({"os.rename", "os.mkdir", "os.remove", "os.rmdir"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def kill_before(moment: int) -> None:
    """Lets this process kill itself before its `moment`-th call that changes a file."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple) -> None:
        if event in CHANGING or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            step()

    def counted(function: Callable) -> Callable:
        def call(*arguments: object) -> object:
            step()
            return function(*arguments)

        return call

    sys.addaudithook(audit)  # opening, renaming, making and removing, by whatever library
    os.write, os.fsync = counted(os.write), counted(os.fsync)


def forked(function: Callable[[], None]) -> int:
    """Exit status of a child that calls `function`."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        function()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    """Every moment, until the job comes to its end unkilled."""
    job = Job.read(Path(sys.argv[1]))
    files = Files(job.out.parent)
    load_base(job.base)
    weights = job.out / "adapter_model.safetensors"
    dataset = job.dataset.read_bytes()
    expected = b""
    resumed: collections.Counter[str] = collections.Counter()
    for moment in range(1000):  # 0 kills nothing
        shutil.rmtree(files.folder)
        files.folder.mkdir()
        job.dataset.write_bytes(dataset)

        def run(moment: int = moment) -> None:
            kill_before(moment)
            training._run(files, job)

        status = forked(run)
        if moment == 0:
            expected = weights.read_bytes()
        elif status == 0:
            print(json.dumps({"moments": moment - 1, "resumed": resumed}))
            return
        else:
            assert status == -signal.SIGKILL, status
            if weights.exists():
                assert weights.read_bytes() == expected, f"half an adapter after moment {moment}"
        assert forked(lambda: training._run(files, job)) == 0, f"not resumed after moment {moment}"
        assert weights.read_bytes() == expected, f"another adapter after moment {moment}"
        told = files.progress.read_text(encoding="utf-8").splitlines()
        resumed[json.loads(told[0])["message"] if "resumed" in told[0] else "from the start"] += 1
        assert not list(files.folder.glob("*unfinished*")), f"rubbish after moment {moment}"


if __name__ == "__main__":
    main()
