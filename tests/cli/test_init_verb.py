"""`ratchet init`: what it writes works, and nothing of the user's is overwritten unasked."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from langgraph_cli.config import validate_config_file
from typer.testing import Result

from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.cli.init import project_files
from langgraph_ratchet.core.settings import Settings

Ratchet = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]

# As langgraph_api does it: each file is a module of its own, found by its path.
LOAD = """
import importlib.util, json, os, sys
names = json.loads(sys.argv[1])
for address in names:
    file, _, variable = address.partition(":")
    spec = importlib.util.spec_from_file_location("of_" + variable, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    print(type(getattr(module, variable)).__name__)
assert "torch" not in sys.modules, "Studio gives a graph's import 3 seconds"
"""


def texts(folder: Path) -> dict[str, bytes]:
    """Path within the folder, and content, of every file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_a_project_is_written_and_what_is_next_is_said(ratchet: Ratchet, folder: Path) -> None:
    shown = ratchet("init", "mine")
    assert shown.exit_code == 0
    assert texts(folder / "mine") == dict(project_files())
    assert {"langgraph.json", ".env.example", "graphs/reasoning.py", "graphs/improvement.py"} <= texts(
        folder / "mine"
    ).keys()
    for step in ("cd mine", "ratchet doctor", "langgraph dev"):
        assert step in shown.stdout


def test_without_a_folder_it_is_written_here(ratchet: Ratchet, folder: Path) -> None:
    said = json.loads(ratchet("init", "--json").stdout)
    assert said["written"] == list(texts(folder))
    assert not any(step.startswith("cd ") for step in said["next"])


def test_the_server_accepts_the_project_and_can_import_all_that_it_names(ratchet: Ratchet, folder: Path) -> None:
    ratchet("init")
    config = validate_config_file(folder / "langgraph.json")
    graphs = [graph["path"] if isinstance(graph, dict) else graph for graph in config["graphs"].values()]
    others = [config["checkpointer"]["path"]] if config.get("checkpointer") else []
    others += [config["http"]["app"]] if config.get("http") else []
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(graphs + others)],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[: len(graphs)] == ["CompiledStateGraph"] * len(graphs)


def test_a_file_of_the_users_is_never_overwritten_unasked(ratchet: Ratchet, folder: Path) -> None:
    (folder / "graphs").mkdir()
    (folder / "graphs" / "reasoning.py").write_text("mine")
    done = ratchet("init")
    assert done.exit_code == ExitStatus.FAILED
    assert "graphs/reasoning.py" in done.stderr
    assert "--force" in done.stderr
    assert texts(folder) == {"graphs/reasoning.py": b"mine"}
    assert ratchet("init", "--force").exit_code == 0
    assert texts(folder) == dict(project_files())


def test_a_second_time_changes_nothing(ratchet: Ratchet, folder: Path) -> None:
    ratchet("init")
    assert json.loads(ratchet("init", "--json").stdout)["written"] == []


def test_a_link_is_replaced_and_not_written_through(ratchet: Ratchet, folder: Path) -> None:
    (folder / "elsewhere").write_text("mine")
    (folder / "langgraph.json").symlink_to(folder / "elsewhere")
    assert ratchet("init").exit_code == ExitStatus.FAILED
    assert ratchet("init", "--force").exit_code == 0
    assert (folder / "elsewhere").read_text() == "mine"


@pytest.mark.parametrize("name", ["taken", "taken/below"])
def test_a_place_that_cannot_be_written_is_one_error(ratchet: Ratchet, folder: Path, name: str) -> None:
    (folder / "taken").write_text("a file")
    done = ratchet("init", name)
    assert done.exit_code == ExitStatus.FAILED
    assert "could not be written" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_project_is_this_repositorys_own() -> None:
    # One source would need a step of the build; so there are two, and they may not drift apart.
    templates = dict(project_files())
    ours, theirs = json.loads((ROOT / "langgraph.json").read_bytes()), json.loads(templates.pop("langgraph.json"))
    assert "langgraph-ratchet[" in theirs["dependencies"].pop()
    assert theirs == ours
    graphs = {f"graphs/{path.name}": path.read_bytes() for path in (ROOT / "graphs").glob("*.py")}
    assert templates == {".env.example": (ROOT / ".env.example").read_bytes(), **graphs}, (
        "copy graphs/*.py and .env.example to src/langgraph_ratchet/cli/project/"
    )


def test_the_example_of_the_environment_names_every_setting() -> None:
    text = dict(project_files())[".env.example"].decode()
    assert all(f"# {name.upper()}=" in text for name in Settings.model_fields)
