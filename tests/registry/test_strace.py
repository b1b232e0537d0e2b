"""Killed by the system itself at every write, fsync, rename and whatever else changes a file, seen from outside.

`test_kills` does the same inside Python, everywhere; here nothing that the interpreter or a library does is missed.
"""

import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry

pytestmark = pytest.mark.slow

BEGINS, ENDS = "/ratchet-begins", "/ratchet-ends"
CHANGING = r"/^(openat|p?write(64|v)?|f(data)?sync|f?truncate|(rename|link|unlink|mkdir|symlink)(at2?)?|rmdir)$"
RECOVERED_S = 2.0

PROGRAM = f"""
import os, sys
from pathlib import Path
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.registry import Registry
change, root, staged, version, expected = sys.argv[1:]
registry = Registry(Path(root))
os.access({BEGINS!r}, os.F_OK)
if change == "promote":
    registry.promote(version, expected=expected, reason="better")
elif change == "rollback":
    registry.rollback("worse")
else:
    registry.add(Path(staged), base="pocket", parent=None, dataset_hash="d" * 64, trace_ids=[], training=None,
                 fingerprint=Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64), arguments={{}})
os.access({ENDS!r}, os.F_OK)
"""


@pytest.fixture(scope="module", autouse=True)
def strace() -> str:
    """The program, if it is there and may trace."""
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-o", os.devnull, "true"], check=False).returncode != 0:
        pytest.skip("not verified: no strace that works here")
    return found


class Traced:
    """Runs `PROGRAM` under strace."""

    def __init__(self, strace: str, arguments: list[str], log: Path) -> None:
        # Not --seccomp-bpf, which is faster: with it, strace 6.1 never sends the signal.
        self.command = [strace, "-f", "-qq", "-o", str(log)]
        self.program = [sys.executable, "-c", PROGRAM, *arguments]
        self.log = log
        # The same calls in the same order each time: no cache of byte code is written, no hash is random.
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}

    def run(self, *options: str) -> int:
        """Exit status, -9 if it was killed."""
        return subprocess.run([*self.command, *options, *self.program], env=self.environment, check=False).returncode

    def calls(self) -> list[str]:
        """Names of the system calls that change files, in their order; `BEGINS` and `ENDS` where they came."""
        assert self.run("-e", f"trace={CHANGING},access,faccessat,faccessat2") == 0
        found = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            name = re.match(r"\d+ +(\w+)\(", line)
            if name and "access" in name[1]:
                found += [mark for mark in (BEGINS, ENDS) if mark in line]
            elif name:
                found.append(name[1])
        return found


def kill_at_every_call(
    traced: Traced, root: Path, prepared: Path, check: Callable[[Registry], None]
) -> collections.Counter[str]:
    """Repeats the change on copies of `prepared`, killed at one call more each time; gives the kills by call."""

    def restore() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(prepared, root)

    restore()
    calls = traced.calls()
    begins, ends = calls.index(BEGINS), calls.index(ENDS)
    before, during = collections.Counter(calls[:begins]), collections.Counter(calls[begins + 1 : ends])
    kills: collections.Counter[str] = collections.Counter()
    for name, count in during.items():
        for nth in range(before[name] + 1, before[name] + count + 1):
            restore()
            status = traced.run("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={nth}")
            assert status == -signal.SIGKILL, f"{name} number {nth} did not come"
            kills[name] += 1
            begun = time.monotonic()
            registry = Registry(root)
            registry.path("champion")  # every byte of what is served, by its hash
            assert time.monotonic() - begun < RECOVERED_S
            check(registry)
    return kills


@pytest.fixture
def traced(strace: str, tmp_path: Path, registry: Registry, add: Any, make_adapter: Any) -> Any:
    """Two versions, the first of which is champion, and the change of a copy under strace."""
    old, new = add(0), add(1)
    registry.promote(old.id, expected=None, reason="first")

    def make(change: str) -> tuple[Traced, ModelVersion, ModelVersion]:
        if change == "rollback":
            registry.promote(new.id, expected=old.id, reason="better")
        arguments = [change, str(tmp_path / "copy"), str(make_adapter(2)), new.id, old.id]
        return Traced(strace, arguments, tmp_path / "log"), old, new

    return make


@pytest.mark.timeout(900)
@pytest.mark.parametrize("change", ["promote", "rollback"])
def test_the_champion_is_the_old_one_or_the_new_one(
    change: str, traced: Any, registry: Registry, tmp_path: Path
) -> None:
    program, old, new = traced(change)
    seen = collections.Counter[str]()
    history = registry.history()

    def check(copy: Registry) -> None:
        champion = copy.champion
        assert champion in (old, new)
        seen[champion.id] += 1
        entries = copy.history()
        assert entries[: len(history)] == history
        assert [entry.previous for entry in entries] == [None, *(entry.version for entry in entries[:-1])]
        assert entries[-1].version == champion.id
        if change == "promote":  # whoever was killed does it again
            copy.promote(new.id, expected=old.id, reason="again")
            assert copy.champion == new
            assert len(copy.history()) == 2

    kills = kill_at_every_call(program, tmp_path / "copy", registry.root, check)
    assert kills["write"] >= 1
    assert kills["fsync"] == 2
    assert sum(kills[name] for name in kills if name.startswith("rename")) == 1
    assert set(seen) == {old.id, new.id}, "no kill came after the change"


@pytest.mark.timeout(900)
def test_an_addition_is_whole_or_absent(traced: Any, registry: Registry, tmp_path: Path, make_adapter: Any) -> None:
    program, old, new = traced("add")
    fingerprint = Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64)
    seen = collections.Counter[int]()

    def check(copy: Registry) -> None:
        assert copy.champion == old
        for version in copy.versions():
            copy.verify(version.id)
        seen[len(copy.versions())] += 1
        again = copy.add(
            make_adapter(2),
            base="pocket",
            parent=None,
            dataset_hash="d" * 64,
            trace_ids=[],
            fingerprint=fingerprint,
            training=None,
            arguments={},
        )
        assert copy.versions() == [old, new, again]
        kept = {path.name for path in (copy.root / "versions").iterdir()}
        assert kept == {version.id for version in (old, new, again)}, "what the killed one left is still there"

    kills = kill_at_every_call(program, tmp_path / "copy", registry.root, check)
    assert kills["write"] >= 3
    assert kills["fsync"] == 6
    assert set(seen) == {2, 3}
