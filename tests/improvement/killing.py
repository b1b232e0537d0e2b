"""Kills improvement runs of three rounds, resumes them until they end, and counts what was lost or done twice.

    python tests/improvement/killing.py [--kills 15] [--seed 20251122] [--everywhere] [--keep FOLDER]

The kills come at random moments (the seed is printed), to the process or to its training process; or, with
`--everywhere`, at each side effect of each node in turn (`kill_points`). A run that was never killed, with the same
settings and `deterministic`, says what must be there in the end. Prints one JSON object; exit status 1 if anything is
wrong.

This process loads the model and forks, so that a kill costs what was being done and not a start of Python.
"""

import argparse
import contextlib
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"})

import orjson
import tiny_run
from audit import differences, faults, items, rubbish
from kill_points import KillPoints

from langgraph_ratchet.chat_models.base import load_base

ROUNDS = 3
SMALL = ["--level", "4", "--count", "4", "--samples", "3"]
"""Few runs, and yet the pocket model learns enough from them to be promoted: that it happens once is to be shown."""
_ORPHAN_S = 30.0
_LOOKED_EVERY_S = 0.05
_NAMED = 10
"""Things of a kind that the output names."""


class Run:
    """An improvement run in a folder, of which one process after another has a try."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trained: dict[str, int] = {}
        """Round to the time at which its training was done."""
        self.doubled: list[str] = []

    def start(self, before: Callable[[], None] | None = None) -> int:
        """Begins the run or goes on with it, in a process whose id it gives; `before` is called there first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if process := os.fork():
            return process
        said = os.open(self.folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["tiny_run.py", str(self.folder), "--rounds", str(ROUNDS), *SMALL, "--deterministic"]
        status = 3
        try:
            if before:
                before()
            status = tiny_run.main()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)

    def wait(self, process: int) -> bool:
        """Whether the process finished the run; if not, it was killed, or its trainer was."""
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        said = (self.folder / "said.txt").read_text(encoding="utf-8")
        if status not in (0, -signal.SIGKILL) and "killed by SIGKILL" not in said:
            raise SystemExit(f"{self.folder}: exit status {status}, nobody killed it:\n{said}")
        if found := faults(self.folder):
            raise SystemExit(f"{self.folder}: {found}")
        for done in self.folder.glob("improve/*/round-*/training/finished.json"):
            at = done.stat().st_mtime_ns
            if self.trained.setdefault(str(done), at) != at:
                self.doubled.append(f"training of {done.parent.parent.name}")
        return status == 0


def stat(process: int) -> list[str]:
    """What the system says of a process, from its state on; empty if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def is_running(process: int) -> bool:
    """Whether it is there and no zombie."""
    return stat(process)[:1] not in ([], ["Z"], ["X"])


def descendants(process: int) -> list[int]:
    """The process and all that it has started, directly or not."""
    parents = {int(entry.name): stat(int(entry.name))[1:2] for entry in Path("/proc").glob("[0-9]*")}
    found = [process]
    for known in found:
        found += [child for child, parent in parents.items() if parent == [str(known)]]
    return found


def trainers(process: int) -> list[int]:
    """The training processes among them."""
    found = []
    for child in descendants(process):
        with contextlib.suppress(OSError):
            if b"langgraph_ratchet.training" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                found.append(child)
    return found


def work(process: int) -> float:
    """Seconds that it and its descendants have computed: how far it has come, however busy the machine is."""
    ticks = sum(int(value) for child in descendants(process) for value in stat(child)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def kill_at_random(process: int, chance: random.Random, seconds: float) -> str | None:
    """Kills the process or its trainer once; says which, or `None` if it had ended before.

    Args:
        process: whom.
        chance: decides.
        seconds: of work, after which it is dead for sure.
    """
    trainer = chance.random() < 0.3
    until = chance.uniform(0, seconds / 4 if trainer else seconds)
    rest = chance.uniform(0, 2 * _LOOKED_EVERY_S)
    while True:
        if not is_running(process):
            return None
        found = trainers(process)
        if work(found[0] if trainer and found else process) >= until and (found or not trainer):
            break
        time.sleep(_LOOKED_EVERY_S)
    time.sleep(rest)
    if trainer and is_running(process) and found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGKILL)
            return "trainer"
        return None
    orphans = trainers(process)
    os.kill(process, signal.SIGKILL)
    late = time.monotonic() + _ORPHAN_S
    while any(map(is_running, orphans)):
        if time.monotonic() > late:
            raise SystemExit(f"the training process {orphans} outlived the one that started it")
        time.sleep(_LOOKED_EVERY_S)
    return "run"


def random_kills(folder: Path, wanted: int, seed: int, seconds: float) -> tuple[list[Run], Counter[str]]:
    """Runs that were killed `wanted` times in all, each resumed until it was finished.

    Each attempt dies within a quarter of the `seconds` of work of a whole run, so it takes several.
    """
    chance = random.Random(seed)
    kills: Counter[str] = Counter()
    runs: list[Run] = []
    while kills.total() < wanted:
        runs.append(Run(folder / f"run-{len(runs) + 1}"))
        finished = False
        while not finished:
            process = runs[-1].start()
            if kills.total() < wanted and (hit := kill_at_random(process, chance, seconds / 4)):
                kills[hit] += 1
            finished = runs[-1].wait(process)
    return runs, kills


def kills_everywhere(folder: Path) -> tuple[list[Run], Counter[str]]:
    """One run that died once at every point."""
    run, died = Run(folder / "run-1"), folder / "died.txt"
    while not run.wait(run.start(KillPoints(died, run.folder).arm)):
        pass
    points = died.read_text(encoding="utf-8").splitlines()
    return [run], Counter(point.partition(":")[0] for point in points)


def measure(folder: Path, kills: int, seed: int, everywhere: bool) -> dict[str, object]:
    """Everything that `main` prints."""
    load_base("pocket")
    begun = time.monotonic()
    reference = Run(folder / "reference")
    reference.wait(reference.start())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    expected = items(reference.folder)
    runs, hits = kills_everywhere(folder) if everywhere else random_kills(folder, kills, seed, seconds)
    lost: list[str] = []
    doubled: list[str] = []
    left: list[str] = []
    for run in runs:
        missing, extra = differences(expected, items(run.folder))
        lost += missing
        doubled += extra + run.doubled
        left += rubbish(run.folder)
    return {
        "seed": None if everywhere else seed,
        "kills": hits.total(),
        "killed": dict(hits),
        "runs": len(runs),
        "things_each": expected.total(),
        "promotions_each": sum(name.startswith("promotion") for name in expected.elements()),
        "lost": len(lost),
        "doubled": len(doubled),
        "rubbish": len(left),
        "wrong": [*lost[:_NAMED], *doubled[:_NAMED], *left[:_NAMED]],
        "work_uninterrupted_s": round(seconds, 1),
        "seconds": round(time.monotonic() - begun, 1),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=20_251_122)
    parser.add_argument("--everywhere", action="store_true")
    parser.add_argument("--keep", type=Path, help="work in this empty folder and leave it")
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary)).resolve()
        measured = measure(folder, given.kills, given.seed, given.everywhere)
    print(orjson.dumps(measured, option=orjson.OPT_INDENT_2).decode())
    return 1 if measured["lost"] or measured["doubled"] or measured["rubbish"] else 0


if __name__ == "__main__":
    sys.exit(main())
