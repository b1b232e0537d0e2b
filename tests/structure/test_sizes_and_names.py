"""Files and functions are short, and no folder is a drawer for whatever did not fit elsewhere."""

import ast
import re
from pathlib import Path

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
SHORT_FUNCTIONS_SHARE = 0.95
LONG_FOR_A_REASON = re.compile(r"over 300 lines because \w+", re.IGNORECASE)
DRAWERS = {"utils", "util", "helpers", "common", "configs", "misc"}


def sources(package: Path) -> list[Path]:
    found = sorted(package.rglob("*.py"))
    assert found, f"no source under {package}"
    return found


def test_files_are_short_or_say_why_not(root: Path, package: Path) -> None:
    others = [path for folder in ("graphs", "scripts", "benchmarks", "tests") for path in (root / folder).rglob("*.py")]
    long = []
    for path in [*sources(package), *others]:
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > MAX_FILE_LINES and not LONG_FOR_A_REASON.search(ast.get_docstring(ast.parse(text)) or ""):
            long.append(f"{path.relative_to(root)}: {lines} lines")
    assert not long, f"split these, or say 'Over {MAX_FILE_LINES} lines because ...' in the docstring: {long}"


def test_functions_are_short(package: Path) -> None:
    lengths = {}
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lengths[f"{path.relative_to(package)}:{node.name}"] = node.end_lineno - node.lineno + 1
    long = {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES}
    assert len(long) <= (1 - SHORT_FUNCTIONS_SHARE) * len(lengths), long


def test_no_folder_or_file_is_a_drawer(package: Path) -> None:
    drawers = [path for path in package.rglob("*") if path.stem in DRAWERS]
    assert not drawers


def test_graphs_are_composition_roots(root: Path) -> None:
    for path in (root / "graphs").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 30, path.name
