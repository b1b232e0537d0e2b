"""The house as the design draws it: what may import what, and no circle."""

import ast
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

# From the bottom up; those of one line know nothing of each other.
LAYERS = [
    {"core"},
    {"registry"},
    {"chat_models"},
    {"tools", "traces"},
    {"grading"},
    {"reasoning", "problems"},
    {"synthesis", "evaluation", "training", "curation"},
    {"improvement"},
    {"serving"},
    {"cli"},
]
BANS = {
    ("chat_models", "reasoning", "tools"): {"langgraph_ratchet.grading", "langgraph_ratchet.problems"},
    ("core", "registry"): {"chromadb", "langgraph", "torch", "transformers"},
    ("training",): {"langgraph", "langgraph_ratchet.reasoning"},
}


@pytest.fixture(scope="session")
def contracts(root: Path) -> list[dict[str, Any]]:
    """What `make lint` checks with import-linter."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    found: list[dict[str, Any]] = settings["contracts"]
    return found


def test_the_layers_that_are_checked_are_the_designs(contracts: list[dict[str, Any]], package: Path) -> None:
    (layers,) = [contract for contract in contracts if contract["type"] == "layers"]
    assert [{name.strip(" ()") for name in line.split("|")} for line in reversed(layers["layers"])] == LAYERS
    assert layers["exhaustive"]
    assert "ignore_imports" not in layers
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert folders <= set().union(*LAYERS)


@pytest.mark.parametrize("sources", BANS)
def test_the_bans_that_are_checked_are_the_designs(contracts: list[dict[str, Any]], sources: tuple[str, ...]) -> None:
    named = {f"langgraph_ratchet.{source}" for source in sources}
    kept = [contract for contract in contracts if named <= set(contract.get("source_modules", ()))]
    assert BANS[sources] <= {name for contract in kept for name in contract["forbidden_modules"]}
    assert not any("ignore_imports" in contract for contract in kept)


def test_no_modules_import_each_other_in_a_circle(package: Path) -> None:
    # Imports inside functions count: they only hide a circle. Those for type checkers alone do not: nothing runs them.
    modules = {name_of(path, package): path for path in package.rglob("*.py")}
    graph = {
        name: {
            target for target in imported(ast.parse(path.read_text(encoding="utf-8")), set(modules)) if target != name
        }
        for name, path in modules.items()
    }
    assert any(graph.values())
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' → '.join(error.args[1])}")


def name_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """Those of `modules` that are imported when the code runs; `from a import b` is of `a.b` where that is a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in submodules]
        yield from (name for name in names if name in modules)
        yield from imported(node, modules)


def test_a_circle_would_be_found(tmp_path: Path) -> None:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from house import b\n")
    (package / "b.py").write_text("def late():\n    from house.a import thing\n")
    with pytest.raises(pytest.fail.Exception, match=r"house\.[ab] → house\.[ab] → house\.[ab]"):
        test_no_modules_import_each_other_in_a_circle(package)
