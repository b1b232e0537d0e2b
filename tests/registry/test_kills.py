"""Killed at every system call that changes a file: the champion is the old one or the new, whole, and never neither."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry

pytestmark = pytest.mark.slow

Add = Callable[..., ModelVersion]
Fork = Callable[[Callable[[], None]], int]
CHANGING = ("open", "write", "fsync", "replace", "rename", "mkdir", "unlink", "rmdir")
RECOVERED_S = 2.0


def kill_at(moment: int, *, after: bool) -> list[int]:
    """Lets this process kill itself before (or after) its `moment`-th call of a function that changes files."""
    count = [0]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            due = count[0] == moment
            if due and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*args, **kwargs)
            finally:
                if due:
                    os.kill(os.getpid(), signal.SIGKILL)

        return called

    for name in CHANGING:
        setattr(os, name, wrap(getattr(os, name)))
    return count


def kill_at_every_moment(
    prepared: Path, change: Callable[[Registry], object], check: Callable[[Registry], object], fork: Fork
) -> int:
    """Repeats `change` on copies of a registry, killed one moment later each time; returns the number of moments."""
    kills = {False: 0, True: 0}
    for after in kills:
        for moment in range(1, 200):
            root = prepared.parent / "copy"
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(prepared, root)

            def child(root: Path = root, moment: int = moment, after: bool = after) -> None:
                kill_at(moment, after=after)
                change(Registry(root))

            status = fork(child)
            begun = time.monotonic()
            again = Registry(root)
            again.path("champion")  # every byte of what is served, by its hash
            assert time.monotonic() - begun < RECOVERED_S
            check_history(again)
            check(again)
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills[after] += 1
        else:
            pytest.fail("the change never came to its end")
    assert kills[False] == kills[True]
    return kills[True]


def check_history(registry: Registry) -> None:
    """Every entry begins where the one before it ended."""
    entries = registry.history()
    assert [entry.previous for entry in entries] == [None, *(entry.version for entry in entries[:-1])]
    known = {version.id for version in registry.versions()}
    assert {entry.version for entry in entries if entry.version} <= known


def test_a_killed_promotion_leaves_the_old_champion_or_the_new_one(registry: Registry, add: Add, fork: Fork) -> None:
    old, new = add(0), add(1)
    registry.promote(old.id, expected=None, reason="first")
    seen = set()

    def check(copy: Registry) -> None:
        champion = copy.champion
        assert champion in (old, new)
        assert copy.path("champion").name == champion.id
        assert [entry.version for entry in copy.history()] == [old.id, new.id][: len(copy.history())]
        assert copy.history()[-1].version == champion.id
        seen.add(champion.id)
        copy.promote(new.id, expected=old.id, reason="resumed")  # whoever was killed can do it again
        assert copy.champion == new
        assert len(copy.history()) == 2

    moments = kill_at_every_moment(
        registry.root, lambda copy: copy.promote(new.id, expected=old.id, reason="better"), check, fork
    )
    assert moments >= 6  # open, write, fsync, replace, open and fsync of the folder
    assert seen == {old.id, new.id}


def test_a_killed_rollback_leaves_the_champion_or_the_one_before(registry: Registry, add: Add, fork: Fork) -> None:
    old, new = add(0), add(1)
    registry.promote(old.id, expected=None, reason="first")
    registry.promote(new.id, expected=old.id, reason="better")
    seen = set()

    def check(copy: Registry) -> None:
        seen.add(copy.path("champion").name)
        assert len(copy.history()) == (2 if copy.champion == new else 3)

    assert kill_at_every_moment(registry.root, lambda copy: copy.rollback("worse"), check, fork) >= 6
    assert seen == {old.id, new.id}


def test_a_killed_addition_leaves_no_half_version(registry: Registry, add: Add, fork: Fork) -> None:
    old = add(0)
    registry.promote(old.id, expected=None, reason="first")
    seen = set()

    def check(copy: Registry) -> None:
        for version in copy.versions():
            copy.verify(version.id)
        seen.add(len(copy.versions()))
        assert copy.champion == old
        again = add(1, into=copy)
        assert copy.versions() == [old, again]
        assert sorted(path.name for path in (copy.root / "versions").iterdir()) == sorted([old.id, again.id])

    assert kill_at_every_moment(registry.root, lambda copy: add(1, into=copy), check, fork) >= 16
    assert seen == {1, 2}


def test_files_are_on_disk_before_their_names_and_names_before_the_answer(
    registry: Registry, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill does not lose what the system has not written yet; the order of calls shows that a power cut would not."""
    paths: dict[int, str] = {}
    log: list[tuple[str, str]] = []
    real_open, real_write, real_fsync = os.open, os.write, os.fsync

    def logged_open(path: Any, *args: Any, **kwargs: Any) -> int:
        descriptor = real_open(path, *args, **kwargs)
        paths[descriptor] = Path(path).name
        return descriptor

    monkeypatch.setattr(os, "open", logged_open)
    monkeypatch.setattr(os, "write", lambda fd, data: (log.append(("write", paths[fd])), real_write(fd, data))[1])
    monkeypatch.setattr(os, "fsync", lambda fd: (log.append(("fsync", paths[fd])), real_fsync(fd))[1])
    for name in ("replace", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda a, b, real=real: (log.append(("rename", Path(b).name)), real(a, b))[1])

    version = add()
    staging = next(name for action, name in log if action == "fsync" and name.startswith(".staging"))
    files = ["adapter_config.json", "adapter_model.safetensors", "version.json"]
    assert log == [
        *(entry for name in files for entry in (("write", name), ("fsync", name))),
        ("fsync", staging),
        ("rename", version.id),
        ("fsync", "versions"),
        ("fsync", "models"),
    ]
    log.clear()
    registry.promote(version.id, expected=None, reason="first")
    new = ".champion.json.new"
    assert log == [("write", new), ("fsync", new), ("rename", "champion.json"), ("fsync", "models")]


def test_of_promoters_at_once_one_wins(registry: Registry, add: Add) -> None:
    versions = [add(number) for number in range(4)]
    children = []
    for version in versions:
        if child := os.fork():
            children.append(child)
            continue
        status = 1
        try:
            registry.promote(version.id, expected=None, reason="race")
            status = 0
        except BadInputError:
            status = 7
        finally:
            os._exit(status)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(statuses) == [0, 7, 7, 7]
    assert registry.champion == versions[statuses.index(0)]
    assert len(registry.history()) == 1
