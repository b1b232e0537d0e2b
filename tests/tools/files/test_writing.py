"""A file is written whole or not at all: under a full or read-only disk, a kill, other writers and its permissions."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.tools.files.world import Files, watched


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a file system of 64 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("not verified: a small file system cannot be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_full_disk_is_said_and_nothing_is_changed(small_disk: Path) -> None:
    files = Files(small_disk)
    files.write("a.txt", "before")
    result = files.write("a.txt", "x" * 100_000)
    assert result.text == 'error: "a.txt" cannot be written: the disk is full; nothing was changed'
    assert files.read("a.txt").text == "before"
    assert names(files.root) == ["a.txt"]
    assert not files.write("a.txt", "after").failed


def test_a_read_only_disk_is_said_and_can_be_read(small_disk: Path) -> None:
    files = Files(small_disk)
    files.write("a.txt", "before")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for path in ("a.txt", "b.txt", "new/c.txt"):
        assert files.write(path, "x").text == (
            f'error: "{path}" cannot be written: the folder of files is on a read-only disk'
        )
    assert files.read("a.txt").text == "before"


def test_a_limit_on_the_size_of_files_is_said_and_nothing_is_changed(files: Files) -> None:
    files.write("a.txt", "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # no file may become longer
    try:
        result = files.write("a.txt", "x" * 5_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "larger than the system allows; nothing was changed" in result.text
    assert files.read("a.txt").text == "before"
    assert names(files.root) == ["a.txt"]


def test_a_file_keeps_its_permissions_and_a_write_protected_one_its_text(files: Files) -> None:
    files.write("private.txt", "before")
    (files.root / "private.txt").chmod(0o640)
    assert not files.write("private.txt", "after").failed
    assert (files.root / "private.txt").stat().st_mode & 0o7777 == 0o640
    (files.root / "private.txt").chmod(0o444)
    assert files.write("private.txt", "more").text == 'error: "private.txt" cannot be written: it is read-only'
    assert files.read("private.txt").text == "after"


def test_a_kill_at_any_step_leaves_the_old_text_or_the_new(tmp_path: Path) -> None:
    found = []
    while True:
        files = Files(tmp_path / str(len(found)))
        files.write("notes/a.txt", "old")
        step = len(found) + 1
        if (child := os.fork()) == 0:
            _write_and_die(files, step)
        _, status = os.waitpid(child, 0)
        found.append(files.read("notes/a.txt").text)
        assert files.list("notes").text == "a.txt (3 bytes)", "what was begun is hidden"
        if os.WIFEXITED(status):
            break
    assert found[0] == "old"
    assert found[-1] == "new"
    assert set(found) == {"old", "new"}
    assert len(found) > 4


def _write_and_die(files: Files, step: int) -> None:
    """In a child process: writes, and is killed before the `step`-th thing it asks of the file system."""
    seen = 0

    def see(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with watched(see):
            files.tools["write_file"].func(path="notes/a.txt", text="new")  # type: ignore[attr-defined]
    finally:
        os._exit(0)


def test_what_is_written_is_on_disk_before_it_takes_its_name(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write("a.txt", "old")
    order: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        order.append("folder" if os.path.isdir(f"/dev/fd/{descriptor}") else "file")
        fsync(descriptor)

    def renamed(*paths: str, **folders: int) -> None:
        order.append("rename")
        rename(*paths, **folders)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    files.write("a.txt", "new")
    assert order == ["file", "rename", "folder"]


def test_many_writers_leave_one_whole_text(files: Files) -> None:
    texts = [str(n) * 50_000 for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda text: files.write("deep/er/a.txt", text), texts * 5))
    assert not any(result.failed for result in results)
    assert (files.root / "deep/er/a.txt").read_text() in texts
    assert names(files.root / "deep/er") == ["a.txt"]


def test_no_descriptor_is_left_open(files: Files) -> None:
    files.write("a/b.txt", "x")
    (files.root / "link").symlink_to("..")
    before = names(Path("/dev/fd"))
    for _ in range(20):
        files.read("a/b.txt")
        files.read("a/none.txt")
        files.read("link/canary.txt")
        files.write("a/b.txt", "y")
        files.write("a", "y")
        files.write("a/b.txt/c", "y")
        files.list("a")
        files.list("link")
    assert len(names(Path("/dev/fd"))) == len(before)
