"""Kills a process that remembers at random moments, and counts what it had been told was kept and is not.

    python tests/tools/memory/killing.py [--trials 100] [--seed N]

Twenty trials go on in the same memory: the next process first looks for all that was acknowledged before. Half of them
write one record at a time, half of them hundreds, so that kills hit the writing of the index too. Prints one JSON
object, with the most that one memory had acknowledged; exit status 1 if a record is lost. This process imports Chroma
and forks, so that a trial costs no start.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import chromadb
import langchain_chroma
from small_embeddings import SmallEmbeddings

from langgraph_ratchet.tools.memory import Memory, Record

_LOADED = (chromadb, langchain_chroma)
_LONGEST_S = 0.4
_AT_ONCE = 300
_CHECKED = 20
_ANEW = 20


def text_of(number: int) -> str:
    return f"record {number} of {number % 97} and {number // 11}"


def child(folder: Path, acknowledged: int, at_once: int, pipe: int) -> None:
    """Checks what was acknowledged, then writes until it is killed; tells of each write when it has returned."""
    memory = Memory(folder, embeddings=SmallEmbeddings(16))
    there = {record.text for record in memory.records()}
    lost = [number for number in range(acknowledged) if text_of(number) not in there]
    latest = range(max(0, acknowledged - _CHECKED), acknowledged)
    unfound = [number for number in latest if not _is_found(memory, text_of(number))]
    os.write(pipe, (json.dumps({"lost": lost, "unfound": unfound}) + "\n").encode())
    number = acknowledged
    while True:
        if at_once == 1:
            memory.remember(text_of(number), writer="w", trust="own")
        else:
            memory.add(
                Record(text=text_of(each), kind="fact", writer="w", trust="own", written_at=time.time())
                for each in range(number, number + at_once)
            )
        number += at_once
        os.write(pipe, f"{number}\n".encode())


def _is_found(memory: Memory, text: str) -> bool:
    return any(each.text == text for each in memory.recall(text))


def trial(folder: Path, acknowledged: int, at_once: int, seconds: float) -> tuple[int, dict[str, list[int]]]:
    """How many records are acknowledged now, and what the process found amiss before it wrote."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            child(folder, acknowledged, at_once, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as pipe:
        first = pipe.readline()
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        written = [int(line) for line in pipe if line.endswith("\n")]
    _, status = os.waitpid(pid, 0)
    if not first or os.WTERMSIG(status) != signal.SIGKILL:
        raise RuntimeError(f"the process ended by itself, with the status {status}")
    return max([acknowledged, *written]), json.loads(first)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20260101)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    found = {"acknowledged": 0, "lost": 0, "unfound": 0}
    with tempfile.TemporaryDirectory() as above:
        for first in range(0, given.trials, _ANEW):
            folder, acknowledged = Path(above, str(first)), 0
            for number in range(first, min(first + _ANEW, given.trials) + 1):  # the last one only looks
                at_once = 1 if number % 2 else _AT_ONCE
                acknowledged, amiss = trial(folder, acknowledged, at_once, draw.uniform(0, _LONGEST_S))
                found["lost"] += len(amiss["lost"])
                found["unfound"] += len(amiss["unfound"])
                found["acknowledged"] = max(found["acknowledged"], acknowledged)
    print(json.dumps({"kills": given.trials, **found}))
    return int(bool(found["lost"] or found["unfound"]))


if __name__ == "__main__":
    sys.exit(main())
