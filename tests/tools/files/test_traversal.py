"""Every known way to write a path that leads out: read, written to and listed, nothing outside the root is touched."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from langchain_core.tools import ToolException
from tests.tools.files.world import SECRET, Event, Files, beyond, snapshot, watched

from langgraph_ratchet.core.ids import clean_text

OWN_LINES = [
    b"../canary.txt",
    b"../../../../../../../../../../../../../../../../etc/passwd",
    b"/etc/passwd",
    b"//etc//passwd",
    b"./../canary.txt",
    b"a/../../canary.txt",
    b"..\\..\\canary.txt",
    b"..%2f..%2fcanary.txt",
    b"%252e%252e%252fcanary.txt",
    b"%c0%ae%c0%ae/canary.txt",
    b"..%00/canary.txt",
    b"../canary.txt%00.png",
    b"....//....//canary.txt",
    b"..;/canary.txt",
    b"~/canary.txt",
    b"$HOME/canary.txt",
    b"file:///etc/passwd",
    b"C:\\boot.ini",
    b"\xef\xbc\x8e\xef\xbc\x8e/canary.txt",
    b"-rf",
    b"/proc/self/environ",
    b"/dev/zero",
    b"legal.txt",
    b"legal/deep.txt",
]


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """All lines of the collections of path traversals, which are not part of the project, or our own few."""
    folder = os.environ.get("RATCHET_TEST_DATA")
    if not folder:
        print("not verified here: all 3,329 path traversals stay inside (RATCHET_TEST_DATA is not set)")
        return OWN_LINES
    found = [
        line
        for file in sorted((Path(folder) / "security" / "pathtraversal").glob("*.txt"))
        for line in file.read_bytes().split(b"\n")
        if line
    ]
    assert len(found) == 3329
    return found + OWN_LINES


@pytest.fixture(scope="module")
def paths(lines: list[bytes]) -> list[str]:
    """Each line raw and percent-decoded once and twice, as each text that its bytes may be; none of them twice."""
    return list(dict.fromkeys(path for line in lines for path in _paths(line.removesuffix(b"\r"))))


def _paths(line: bytes) -> Iterator[str]:
    line = line.replace(b"{FILE}", b"canary.txt")
    for decoded in (line, unquote_to_bytes(line), unquote_to_bytes(unquote_to_bytes(line))):
        text = decoded.decode("utf-8", "surrogateescape")
        yield from (text, clean_text(text), decoded.decode("latin-1"))  # the second is what the graph hands to tools


def carried_out(files: Files, name: str, arguments: dict[str, str]) -> str | None:
    """A tool's text, or nothing where it refuses; without the thread that each call has in the graph, to be quick."""
    function = files.tools[name].func  # type: ignore[attr-defined]
    try:
        return str(function(**arguments))
    except ToolException:
        return None


@pytest.mark.parametrize("name", ["read_file", "write_file", "list_files"])
def test_no_path_leads_out_of_the_root(files: Files, paths: list[str], name: str) -> None:
    (files.root / "legal.txt").write_text("from inside")
    (files.root / "legal").mkdir()
    (files.root / "legal" / "deep.txt").write_text("from inside")
    before = snapshot(files.world, without=files.root)
    out: list[Event] = []
    done: dict[str, str] = {}
    with watched(lambda event: out.append(event) if beyond(files.root, event) else None):
        for path in paths:
            arguments = {"folder" if name == "list_files" else "path": path}
            if name == "write_file":
                arguments["text"] = "from the model"
            if (text := carried_out(files, name, arguments)) is not None:
                done[path] = text
    assert out == []
    assert snapshot(files.world, without=files.root) == before
    assert not any(SECRET in text or "root:" in text for text in done.values())
    if name == "read_file":
        assert done == {"legal.txt": "from inside", "legal/deep.txt": "from inside"}
    elif name == "list_files":
        assert set(done.values()) <= {"legal/\nlegal.txt (11 bytes)", "deep.txt (11 bytes)"}
    else:
        made = {str(path.relative_to(files.root)) for path in files.root.rglob("*") if path.is_file()}
        assert made == {os.path.normpath(path) for path in done}
        assert all(name.isprintable() and not set(name) & set('\\:*?"<>|') for name in made)


def test_the_record_shows_what_leads_out(files: Files) -> None:
    out: list[Event] = []
    with watched(lambda event: out.append(event) if beyond(files.root, event) else None):
        os.close(os.open(files.outside / "canary.txt", os.O_RDONLY))
        assert (files.root / ".." / "canary.txt").read_text() == SECRET
        (files.root / "new.txt").write_text("by its path")
        os.listdir(files.outside)
        os.rename(files.root / "new.txt", files.outside / "new.txt")
        os.unlink(files.outside / "new.txt")
    assert [event for event, _ in out] == ["open", "open", "open", "os.listdir", "os.rename", "os.remove"]
