"""Keeps the tree in README.md equal to the disk.

    python scripts/readme_tree.py            rewrites the tree
    python scripts/readme_tree.py --check    says what differs, and exits with 1 if anything does

A Python file is described by the first sentence of its docstring, a package by that of its `__init__.py`, a shell
script by its first comment. A folder that has none of these (data, tests) is described in README itself, and that
line is kept. Folders without Python in them, and the areas under tests/, have one line and are not listed further.
"""

import argparse
import ast
import difflib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path("src/langgraph_ratchet")
BEGIN, END = "<!-- tree: made by `make format` -->\n```text\n", "```\n<!-- end of tree -->\n"
SOURCES = {".py", ".sh"}
UNLISTED = {"__init__.py", "__pycache__", "build", "dist"}
NAME_WIDTH = 34
"""Column, in characters, at which descriptions begin."""


class TreeError(Exception):
    """README is not as the tree needs it; the message says what to do."""


def layers(root: Path) -> list[str]:
    """The package's folders from the lowest layer up, as the import contract in pyproject.toml orders them."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    levels = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name.strip(" ()") for level in reversed(levels) for name in level.split("|")]


def children(folder: Path, order: list[str]) -> list[Path]:
    """What of `folder` is listed: subfolders in `order` and then by name, then source files by name."""

    def listed(path: Path) -> bool:
        if path.name in UNLISTED or path.name.startswith(".") or path.suffix == ".egg-info":
            return False
        return path.suffix in SOURCES if path.is_file() else any(item.name != "__pycache__" for item in path.iterdir())

    def place(path: Path) -> tuple[bool, int, str]:
        return (path.is_file(), order.index(path.name) if path.name in order else len(order), path.name)

    return sorted(filter(listed, folder.iterdir()), key=place)


def lines_of(root: Path) -> Iterator[tuple[int, Path]]:
    """Depth and path of every line of the tree, in order."""
    order = layers(root)

    def below(folder: Path, depth: int) -> Iterator[tuple[int, Path]]:
        in_tests = folder.is_relative_to(root / "tests")
        for path in children(folder, order if folder in (root / PACKAGE, root / "tests") else []):
            if in_tests and path.is_file():
                continue
            yield depth, path
            if path.is_dir() and not in_tests and any(path.rglob("*.py")):
                yield from below(path, depth + 1)

    for folder in filter(Path.is_dir, children(root, [])):
        start = root / PACKAGE if folder.name == PACKAGE.parts[0] else folder
        yield 0, start
        yield from below(start, 1)


def summary(path: Path) -> str:
    """The first sentence that a file or folder says of itself, cut at its line; empty when it says nothing."""
    source = path / "__init__.py" if path.is_dir() else path
    if not source.exists():
        return ""
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".py":
        lines = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    else:
        lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    return lines[0].partition(". ")[0].removesuffix(".") if lines else ""


def mirrored(root: Path, path: Path) -> str:
    """What an area under tests/ is, when nobody has said it better: the tests of the package it mirrors."""
    mirrors = path.parent == root / "tests" and (root / PACKAGE / path.name).is_dir()
    return f"Tests of {path.name}" if mirrors else ""


def described(tree: str) -> dict[str, str]:
    """Path to description, read back from a tree's lines."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in tree.splitlines():
        name, _, description = line.strip().partition("  ")
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name.rstrip("/")]
        found["/".join(above)] = description.strip()
    return found


def render(root: Path, known: dict[str, str]) -> tuple[str, list[str]]:
    """The tree as the disk is, and the paths that nothing describes, neither themselves nor `known`."""
    lines, undescribed = [], []
    for depth, path in lines_of(root):
        relative = path.relative_to(root).as_posix()
        description = summary(path) or known.get(relative, "") or mirrored(root, path)
        if not description:
            undescribed.append(relative)
        name = f"{'  ' * depth}{path.name if depth else relative}{'/' if path.is_dir() else ''}"
        lines.append(f"{name:<{NAME_WIDTH}}  {description}".rstrip())
    return "\n".join(lines) + "\n", undescribed


def split(readme: str) -> tuple[str, str, str]:
    """README before, inside and after the tree.

    Raises:
        TreeError: the marks around the tree are missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not begin or not end:
        raise TreeError(f"README.md lacks the marks around the tree: {BEGIN!r} and {END!r}")
    return before, inside, after


def keep(root: Path, *, check: bool) -> list[str]:
    """Rewrites the tree unless `check`; returns what is still wrong, line by line."""
    file = root / "README.md"
    before, inside, after = split(file.read_text(encoding="utf-8"))
    tree, undescribed = render(root, described(inside))
    wrong = [
        f"{path} has no description: give it a docstring, or write one on its line of the tree in README.md"
        for path in undescribed
    ]
    if check and tree != inside:
        wrong.append("the tree differs from the disk (make format rewrites it):")
        wrong += difflib.unified_diff(inside.splitlines(), tree.splitlines(), "README.md", "disk", lineterm="", n=0)
    if not check:
        file.write_text(before + BEGIN + tree + END + after, encoding="utf-8")
    return wrong


def main() -> int:
    """Parses, keeps, prints; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="of the repository")
    arguments = parser.parse_args()
    try:
        wrong = keep(arguments.root, check=arguments.check)
    except TreeError as error:
        wrong = [str(error)]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
