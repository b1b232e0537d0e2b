"""Links, pipes and devices under a root's names, put there before a call or in the middle of one, lead nowhere."""

import itertools
import os
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from langchain_core.tools import ToolException
from tests.tools.files.world import SECRET, Event, Files, beyond, snapshot, watched

Act = Callable[[Files], str]
Snapshot = dict[str, tuple[int, int, bytes]]


def read(files: Files) -> str:
    return files.read("notes/canary.txt").text


def write(files: Files) -> str:
    return files.write("notes/canary.txt", "from the model").text


def show(files: Files) -> str:
    return files.list("notes").text


ACTS = [read, write, show]


def make_notes(files: Files) -> Path:
    """A folder in the root with a file that is called as the canary outside."""
    notes = files.root / "notes"
    notes.mkdir()
    (notes / "canary.txt").write_text("from inside")
    return notes


def check_outside(files: Files, before: Snapshot, text: str) -> None:
    assert SECRET not in text
    assert "level" not in text, "the folder outside was listed"
    assert snapshot(files.world, without=files.root) == before


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("target", ["..", "../..", "{outside}", "chain", "missing", "notes"])
def test_a_linked_folder_is_not_entered(files: Files, act: Act, target: str) -> None:
    (files.root / "chain").symlink_to("..")
    (files.root / "notes").symlink_to(target.format(outside=files.outside))
    before = snapshot(files.world, without=files.root)
    text = act(files)
    assert text.startswith("error: ")
    assert "symbolic link, which is not followed" in text
    check_outside(files, before, text)


@pytest.mark.parametrize("act", [read, write])
@pytest.mark.parametrize("target", ["../../canary.txt", "{outside}/canary.txt", "missing.txt", "canary.txt"])
def test_a_linked_file_is_neither_read_nor_replaced(files: Files, act: Act, target: str) -> None:
    (files.root / "notes").mkdir()
    link = files.root / "notes" / "canary.txt"
    link.symlink_to(target.format(outside=files.outside))
    before = snapshot(files.world, without=files.root)
    text = act(files)
    assert text.startswith('error: "notes/canary.txt" cannot be ')
    assert "symbolic link" in text
    assert link.is_symlink()
    check_outside(files, before, text)


@pytest.mark.parametrize("act", [read, write])
def test_a_hard_link_is_neither_read_nor_replaced(files: Files, act: Act) -> None:
    (files.root / "notes").mkdir()
    os.link(files.outside / "canary.txt", files.root / "notes" / "canary.txt")
    before = snapshot(files.world, without=files.root)
    text = act(files)
    assert "it has several names (hard links)" in text
    check_outside(files, before, text)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")  # the whole path is too long for a socket's address
    except OSError:
        pytest.skip("not verified: a socket cannot be made here")
    finally:
        os.close(here)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except OSError:
        pytest.skip("not verified: a device cannot be made here (it takes root)")


@pytest.mark.parametrize("act", [read, write])
@pytest.mark.parametrize("make", [make_pipe, make_socket, make_device, Path.mkdir])
def test_what_is_no_plain_file_is_never_opened(files: Files, act: Act, make: Callable[[Path], None]) -> None:
    (files.root / "notes").mkdir()
    make(files.root / "notes" / "canary.txt")
    opened: list[str] = []
    with watched(lambda event: opened.append(str(event[1][0])) if event[0] == "open" else None):
        text = at_once(files, act)
    assert "not a plain file" in text
    assert "canary.txt" not in opened
    assert show(files).startswith("canary.txt")


def at_once(files: Files, act: Act) -> str:
    """What the tool says without the runner's thread, so that this thread's events are the tool's."""
    name, arguments = {
        read: ("read_file", {"path": "notes/canary.txt"}),
        write: ("write_file", {"path": "notes/canary.txt", "text": "from the model"}),
        show: ("list_files", {"folder": "notes"}),
    }[act]
    try:
        return str(files.tools[name].func(**arguments))  # type: ignore[attr-defined]
    except ToolException as error:
        return f"error: {error}"


def to_linked_folder(files: Files) -> None:
    os.rename(files.root / "notes", files.root / "moved")
    os.symlink(files.outside, files.root / "notes")


def to_linked_file(files: Files) -> None:
    os.rename(files.root / "notes" / "canary.txt", files.root / "notes" / "moved.txt")
    os.symlink(files.outside / "canary.txt", files.root / "notes" / "canary.txt")


def to_hard_link(files: Files) -> None:
    os.unlink(files.root / "notes" / "canary.txt")
    os.link(files.outside / "canary.txt", files.root / "notes" / "canary.txt")


def to_pipe(files: Files) -> None:
    os.unlink(files.root / "notes" / "canary.txt")
    os.mkfifo(files.root / "notes" / "canary.txt")


SWAPS = [to_linked_folder, to_linked_file, to_hard_link, to_pipe]


def disturbed(files: Files, act: Act, swap: Callable[[Files], None], step: int) -> tuple[str, int]:
    """What a call says when the exchange is made just before its `step`-th step, and how many steps it took."""
    seen = 0

    def see(event: Event) -> None:
        nonlocal seen
        seen += 1
        assert not beyond(files.root, event)
        if seen == step:
            swap(files)

    with watched(see):
        return at_once(files, act), seen


@pytest.mark.timeout(60)  # what waits for a pipe's other end waits for ever
@pytest.mark.parametrize("swap", [to_linked_folder, to_linked_file, to_hard_link, to_pipe])
@pytest.mark.parametrize("act", ACTS)
def test_an_exchange_before_any_step_of_a_call_leads_nowhere(
    tmp_path: Path, act: Act, swap: Callable[[Files], None]
) -> None:
    texts = []
    for step in itertools.count(1):
        files = Files(tmp_path / str(step))
        make_notes(files)
        before = snapshot(files.world, without=files.root)
        text, taken = disturbed(files, act, swap, step)
        check_outside(files, before, text)
        texts.append(text)
        if taken < step:  # this one was over before
            break
    assert len(texts) > 3, "a call opens the root, a folder, and a file or its entries"
    if act is read:
        assert texts[-1] == "from inside"
        assert texts[0].startswith("error: ")


@pytest.mark.parametrize("act", ACTS)
def test_a_thread_that_exchanges_a_folder_for_a_link_gets_nothing_out(files: Files, act: Act) -> None:
    notes = make_notes(files)
    before = snapshot(files.world, without=files.root)

    enough = threading.Event()

    def exchange() -> None:
        for n in itertools.count():
            with suppress(OSError):  # a folder that the call made meanwhile is moved away by the next round
                os.rename(notes, files.root / f"moved{n}")
                os.symlink(files.outside, notes)
                time.sleep(0)  # lets the other thread in
                os.unlink(notes)
                os.rename(files.root / f"moved{n}", notes)
                time.sleep(0)
            if enough.is_set():
                return

    thread = threading.Thread(target=exchange)
    thread.start()
    texts = Counter[str]()
    try:
        for _ in range(50_000):
            texts[text := at_once(files, act)] += 1
            if SECRET in text or sum(n for text, n in texts.items() if "symbolic link" in text) >= 20:
                break
    finally:
        enough.set()
        thread.join()
    for text in texts:
        check_outside(files, before, text)
    assert any("symbolic link" in text for text in texts), "the thread came too late each time"
