"""What is read, written and listed in ordinary use, and what is refused in words that say what to do."""

import os
import re
from pathlib import Path

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool
from tests.tools.files.world import Files

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.files.root import MAX_BYTES
from langgraph_ratchet.tools.read_file import read_file_tool
from langgraph_ratchet.tools.spec import Effect, spec_of


def test_what_is_written_is_read_and_listed(files: Files) -> None:
    assert files.list().text == "the folder is empty"
    assert files.write("notes/2024/plan.txt", "Zwölf ☃\n").text == 'made "notes/2024/plan.txt": 8 characters'
    assert files.read("notes/2024/plan.txt").text == "Zwölf ☃\n"
    assert files.read("./notes//2024/plan.txt").text == "Zwölf ☃\n"
    assert files.write("notes/2024/plan.txt", "").text == 'replaced "notes/2024/plan.txt": 0 characters'
    assert files.read("notes/2024/plan.txt").text == "[the file is empty]"
    assert files.write("note.txt", "x").failed is False
    assert [files.list(folder).text for folder in ("", ".", "notes", "notes/2024/")] == [
        "note.txt (1 bytes)\nnotes/",
        "note.txt (1 bytes)\nnotes/",
        "2024/",
        "plan.txt (0 bytes)",
    ]


def test_they_declare_what_they_do_and_whose_text_they_give() -> None:
    specs = {tool.name: spec_of(tool) for tool in get_tools("files")}
    assert {name: set(spec.effects) for name, spec in specs.items()} == {
        "read_file": {Effect.READS},
        "write_file": {Effect.WRITES},
        "list_files": {Effect.READS},
    }
    assert specs["read_file"].trust is specs["list_files"].trust is Trust.UNTRUSTED
    offered = {tool.name: convert_to_openai_tool(tool)["function"]["parameters"] for tool in get_tools("files")}
    assert {name: list(schema["properties"]) for name, schema in offered.items()} == {
        "read_file": ["path", "start"],
        "write_file": ["path", "text"],
        "list_files": ["folder"],
    }


def test_the_root_comes_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINING_DATA_PATH", "data")
    assert Settings().files_root == Path("data/files")
    monkeypatch.setenv("RATCHET_FILES_ROOT", "mine")
    (write,) = get_tools("write_file")
    monkeypatch.chdir("/")
    assert not list(tmp_path.iterdir()), "nothing is made before something is written"
    write.invoke({"path": "a.txt", "text": "a"})
    assert (tmp_path / "mine" / "a.txt").read_text() == "a"


def test_a_long_file_is_read_page_by_page(files: Files) -> None:
    text = "".join(f"line {n} of the file\n" for n in range(1000)) + "x" * 15_000 + "\nthe end"
    (files.root / "long.txt").write_text(text)
    read, start, calls = "", 0, 0
    while True:
        page = files.read("long.txt", start=start).text
        calls += 1
        note = re.search(r"\n\[characters (\d+) to (\d+) of 35898; go on with start=(\d+)\]$", page)
        if note is None:
            break
        assert (int(note[1]), note[2]) == (start, note[3])
        read += text[start : int(note[2])]
        assert page[: note.start()] == text[start : int(note[2])].removesuffix("\n")
        start = int(note[3])
    assert read + page == text
    assert calls == 7
    assert files.read("long.txt").text.splitlines()[-2].endswith(" of the file"), "a page ends with a whole line"


@pytest.mark.parametrize(("start", "length"), [(-1, 3), (3, 3), (10**40, 3), (1, 0)])
def test_a_start_beyond_the_file_is_refused(files: Files, start: int, length: int) -> None:
    (files.root / "a.txt").write_text("a" * length)
    result = files.read("a.txt", start=start)
    wanted = f"error: start must be from 0 to {max(length - 1, 0)}, the file has {length} characters"
    assert (result.text, result.failed) == (wanted, True)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", '"a.bin" is not a text: byte 8 is 0. Only UTF-8 texts are read'),
        (b"caf\xe9", '"a.bin" is not UTF-8: byte 3 is 0xe9. Only UTF-8 texts are read'),
        ("wide".encode("utf-16"), '"a.bin" is not a text'),
        (b"\xed\xa0\x80", '"a.bin" is not UTF-8: byte 0 is 0xed'),
        (b"x" * (MAX_BYTES + 1), '"a.bin" cannot be read: it has 1,000,001 bytes, a file may have 1,000,000'),
    ],
)
def test_what_is_no_text_or_too_large_is_refused(files: Files, data: bytes, why: str) -> None:
    (files.root / "a.bin").write_bytes(data)
    result = files.read("a.bin")
    assert result.failed
    assert result.text.startswith(f"error: {why}")


def test_a_terabyte_of_nothing_is_not_read(files: Files) -> None:
    with (files.root / "sparse.txt").open("wb") as file:
        file.truncate(1 << 40)
    assert "it has 1,099,511,627,776 bytes" in files.read("sparse.txt").text


def test_a_text_with_a_mark_of_its_encoding_is_read_without_it(files: Files) -> None:
    (files.root / "a.txt").write_bytes(b"\xef\xbb\xbfwith a mark")
    assert files.read("a.txt").text == "with a mark"


def test_a_text_that_is_too_large_is_not_written(files: Files) -> None:
    files.write("a.txt", "before")
    result = files.write("a.txt", "é" * (MAX_BYTES // 2 + 1))
    assert result.text == 'error: "a.txt" cannot be written: it has 1,000,002 bytes, a file may have 1,000,000'
    assert files.read("a.txt").text == "before"
    assert not files.write("a.txt", "é" * (MAX_BYTES // 2)).failed


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../a.txt", "leads out of a folder with '..'"),
        ("notes/../a.txt", "leads out of a folder with '..'"),
        ("/a.txt", "is absolute"),
        ("", "names a folder, not a file"),
        ("notes/", "names a folder, not a file"),
        (".env", '".env" begins with a dot'),
        (".git/hooks/pre-commit", '".git" begins with a dot'),
        ("a" * 1001, "the path has 1001 characters, it may have 1000"),
        ("a/" * 33 + "a", "the path is 34 folders deep, it may be 32"),
        ("a" * 300, "a name in the path is too long"),
        ("~/a.txt", 'the name "~" begins or ends with'),
        ("-rf", 'the name "-rf" begins or ends with'),
        ("a.txt ", 'the name "a.txt " begins or ends with'),
        ("a\nb", r'the name "a\nb" holds "\n"'),
        ("a\x1b[2Jb", r'the name "a\u001b[2Jb" holds "\u001b"'),
        ("cod\u202etxt.exe", r'holds "\u202e"'),
        ("a\\b", r'the name "a\\b" holds "\\"'),
        ("C:a", 'the name "C:a" holds ":"'),
    ],
)
def test_a_path_that_is_not_written_to_is_named_with_the_reason(files: Files, path: str, why: str) -> None:
    result = files.write(path, "x")
    assert result.failed
    assert why in result.text
    assert "\n" not in result.text
    assert not list(files.root.iterdir())


def test_a_missing_file_and_a_wrong_kind_are_told_apart(files: Files) -> None:
    files.write("notes/a.txt", "x")
    assert files.read("b.txt").text == (
        'error: "b.txt" cannot be read: there is no such file or folder; list_files shows what there is'
    )
    assert files.list("b").failed
    assert "it is a folder" in files.read("notes").text
    assert "it is a folder" in files.write("notes", "x").text
    assert "a part of the path is a file" in files.list("notes/a.txt").text
    assert "a part of the path is a file" in files.write("notes/a.txt/b.txt", "x").text


def test_hidden_names_are_neither_listed_nor_read(files: Files) -> None:
    (files.root / ".env").write_text("KEY=1")
    (files.root / "a.txt").write_text("a")
    assert files.list().text == "a.txt (1 bytes)"
    assert "begins with a dot" in files.read(".env").text


def test_names_that_could_forge_a_list_are_quoted_and_can_be_read_as_quoted(files: Files) -> None:
    odd = ["a\nsecret.txt (5 bytes)", "b\x1b[2J", "c\u202ed", ' "e"', "f  g", "schön ☃.txt"]
    for name in odd:
        (files.root / name).write_text("odd")
    os.close(os.open(os.fsencode(files.root) + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY))
    assert files.list().text.splitlines() == [
        r'" \"e\"" (3 bytes)',
        r'"a\nsecret.txt (5 bytes)" (3 bytes)',
        r'"b\u001b[2J" (3 bytes)',
        r'"c\u202ed" (3 bytes)',
        '"f  g" (3 bytes)',
        "schön ☃.txt (3 bytes)",
        r'"\udcff\udcfe" (0 bytes)',
    ]
    assert {files.read(name).text for name in odd} == {"odd"}
    assert files.read("\udcff\udcfe").failed


def test_a_folder_of_very_many_entries_is_listed_in_part(files: Files) -> None:
    for n in range(1000):
        (files.root / f"{n:04}.txt").touch()
    lines = files.list().text.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (201, "0000.txt (0 bytes)", "[800 more]")
    for n in range(200):
        (files.root / ("+" * 200 + f"{n:04}.txt")).touch()
    text = files.list().text
    assert len(text) < 6_200
    assert text.splitlines()[-1] == f"[{1200 - text.count(chr(10)):,} more]"


def test_a_system_without_descriptors_of_folders_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", set())
    with pytest.raises(BadInputError, match="cannot be used on this system.*Use Linux, macOS or WSL"):
        read_file_tool(tmp_path)


def test_a_root_that_is_a_file_is_said(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.root.rmdir()
    files.root.write_text("a file")
    for result in (files.write("a.txt", "x"), files.read("a.txt"), files.list()):
        assert result.failed
        assert "file" in result.text
        assert str(tmp_path) not in result.text
