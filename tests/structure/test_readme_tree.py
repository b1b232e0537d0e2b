"""README's tree equals the disk, and the check that says so notices when it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = """
[[tool.importlinter.contracts]]
layers = ["(cli)", "(tools) | (traces)", "core"]
"""
README = """# Title

<!-- tree: made by `make format` -->
```text
src/langgraph_ratchet/              The package
  core/                             The nouns
    data/                           frozen suites
    ids.py                          Ids
  cli/                              The command
tests/                              mirrors src
  core/                             the nouns
```
<!-- end of tree -->

More.
"""


def run_tree(root: Path, script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def script(root: Path) -> Path:
    return root / "scripts" / "readme_tree.py"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small repository whose README is right."""
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        "src/langgraph_ratchet/__init__.py": '"""The package."""\n',
        "src/langgraph_ratchet/cli/__init__.py": '"""The command."""\n',
        "src/langgraph_ratchet/core/__init__.py": '"""The nouns."""\n',
        "src/langgraph_ratchet/core/ids.py": '"""Ids."""\n',
        "src/langgraph_ratchet/core/data/suite.toml": "",
        "tests/core/test_ids.py": '"""Tests."""\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_readmes_tree_equals_the_disk(root: Path, script: Path) -> None:
    done = run_tree(root, script, "--check")
    assert done.returncode == 0, done.stderr


def test_a_right_readme_passes_and_is_not_rewritten(house: Path, script: Path) -> None:
    assert run_tree(house, script, "--check").returncode == 0
    assert run_tree(house, script).returncode == 0
    assert (house / "README.md").read_text() == README


@pytest.mark.parametrize("name", ["src/langgraph_ratchet/core/step.py", "src/langgraph_ratchet/cli/solve.py"])
def test_a_file_without_a_line_is_noticed_and_added(house: Path, script: Path, name: str) -> None:
    (house / name).write_text('"""What it does."""\n')
    done = run_tree(house, script, "--check")
    assert done.returncode == 1
    assert Path(name).name in done.stderr
    assert run_tree(house, script).returncode == 0
    assert "What it does" in (house / "README.md").read_text()
    assert run_tree(house, script, "--check").returncode == 0


def test_a_line_without_a_file_is_noticed_and_removed(house: Path, script: Path) -> None:
    (house / "src/langgraph_ratchet/core/ids.py").unlink()
    assert "ids.py" in run_tree(house, script, "--check").stderr
    assert run_tree(house, script).returncode == 0
    assert "ids.py" not in (house / "README.md").read_text()


def test_a_changed_docstring_is_noticed(house: Path, script: Path) -> None:
    (house / "src/langgraph_ratchet/core/ids.py").write_text('"""Identities."""\n')
    assert run_tree(house, script, "--check").returncode == 1


def test_what_nothing_describes_is_named(house: Path, script: Path) -> None:
    (house / "graphs").mkdir()
    (house / "graphs" / "reasoning.py").write_text('"""The reasoning graph."""\n')
    done = run_tree(house, script)
    assert done.returncode == 1
    assert "graphs has no description" in done.stderr


def test_an_area_of_tests_is_described_by_what_it_mirrors(house: Path, script: Path) -> None:
    (house / "tests" / "cli").mkdir()
    (house / "tests" / "cli" / "test_solve.py").write_text("")
    assert run_tree(house, script).returncode == 0
    assert "Tests of cli" in (house / "README.md").read_text()
