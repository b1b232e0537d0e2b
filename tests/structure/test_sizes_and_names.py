"""Files and functions are short, and no folder is a drawer for whatever did not fit elsewhere.

A file that is longer for a reason says so in the docstring at its top: "Over 300 lines because ...".
"""

import ast
import re
import statistics
from pathlib import Path

import pytest

MAX_FILE_LINES = 300
MAX_MEDIAN_FILE_LINES = 150
MAX_FUNCTION_LINES = 50
SHORT_FUNCTIONS_SHARE = 0.95
LONG_FOR_A_REASON = re.compile(r"over 300 lines because \w+", re.IGNORECASE)
DRAWERS = {"utils", "util", "helpers", "common", "configs", "misc"}

FOLDERS = ("src", "tests")
OTHERS = ("graphs", "scripts", "benchmarks")


def sources(folder: Path) -> dict[Path, str]:
    """Every Python file with its text; those that only mark a package are left out, they would lower the median."""
    found = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    assert found, f"no source under {folder}"
    return {path: text for path, text in found.items() if path.name != "__init__.py" or text.count("\n") > 1}


@pytest.mark.parametrize("name", [*FOLDERS, *OTHERS])
def test_files_are_short_or_say_why_not(root: Path, name: str) -> None:
    long = [
        f"{path.relative_to(root)}: {len(text.splitlines())} lines"
        for path, text in sources(root / name).items()
        if len(text.splitlines()) > MAX_FILE_LINES
        and not LONG_FOR_A_REASON.search(ast.get_docstring(ast.parse(text)) or "")
    ]
    assert not long, f"split these, or say 'Over {MAX_FILE_LINES} lines because ...' in the docstring: {long}"


@pytest.mark.parametrize("name", FOLDERS)
def test_most_files_are_much_shorter(root: Path, name: str) -> None:
    median = statistics.median(len(text.splitlines()) for text in sources(root / name).values())
    assert median <= MAX_MEDIAN_FILE_LINES


@pytest.mark.parametrize("name", FOLDERS)
def test_functions_are_short(root: Path, name: str) -> None:
    lengths = {}
    for path, text in sources(root / name).items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lengths[f"{path.relative_to(root)}:{node.lineno} {node.name}"] = node.end_lineno - node.lineno + 1
    long = {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES}
    assert len(long) <= (1 - SHORT_FUNCTIONS_SHARE) * len(lengths), long


def test_no_folder_or_file_is_a_drawer(package: Path) -> None:
    drawers = [path for path in package.rglob("*") if path.stem in DRAWERS]
    assert not drawers


def test_graphs_are_composition_roots(root: Path) -> None:
    for path in (root / "graphs").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 30, path.name
