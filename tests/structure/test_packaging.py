"""What is built and installed: the wheel's contents, the extras, the pins, and the graphs that Studio opens."""

import importlib.util
import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph.state import CompiledStateGraph
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MAX_WEIGHTS_BYTES = 8 * 1024 * 1024
EXTRAS = {
    "local",
    "gguf",
    "train",
    "problems",
    "logic",
    "web",
    "memory",
    "openai",
    "mcp",
    "serve",
    "langsmith",
    "all",
    "dev",
}


@pytest.fixture(scope="session")
def project(root: Path) -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return settings


@pytest.fixture(scope="session")
def wheel(wheel_file: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_file)


def requirements(project: dict[str, Any]) -> list[Requirement]:
    """Base dependencies and those of every extra, the references to our own extras left out."""
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    return [needed for needed in map(Requirement, texts) if needed.name != project["name"]]


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile, package: Path) -> None:
    ours = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "langgraph_ratchet/py.typed" in ours
    assert ours <= set(wheel.namelist())


@pytest.mark.parametrize("kind", [".safetensors", ".jinja", ".toml", ".txt"])
def test_the_wheel_holds_data_of_every_kind(wheel: zipfile.ZipFile, kind: str) -> None:
    assert any(name.startswith("langgraph_ratchet/") and name.endswith(kind) for name in wheel.namelist())


def test_the_wheel_holds_nothing_but_the_package(wheel: zipfile.ZipFile) -> None:
    strangers = [name for name in wheel.namelist() if not name.startswith(("langgraph_ratchet/", "langgraph_ratchet-"))]
    assert not strangers


def test_the_shipped_weights_are_small(wheel: zipfile.ZipFile) -> None:
    weights = [item for item in wheel.infolist() if item.filename.endswith(".safetensors")]
    assert sum(item.file_size for item in weights) <= MAX_WEIGHTS_BYTES


def test_every_extra_is_declared_and_all_holds_each(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    assert set(extras) == EXTRAS
    (everything,) = map(Requirement, extras["all"])
    assert everything.extras == EXTRAS - {"all", "dev"}


def test_the_base_install_is_light(project: dict[str, Any]) -> None:
    base = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert not base & {"torch", "transformers", "peft", "safetensors", "datasets", "trl", "langchain", "numpy"}


def test_every_dependency_is_bounded_on_both_sides(project: dict[str, Any]) -> None:
    loose = [
        str(needed)
        for needed in requirements(project)
        if {clause.operator for clause in needed.specifier} != {">=", "<"}
    ]
    assert not loose


def test_the_constraints_pin_every_dependency_within_its_bounds(root: Path, project: dict[str, Any]) -> None:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for pin in (Requirement(line) for line in lines if line and not line.startswith("#")):
        (clause,) = pin.specifier
        assert clause.operator == "=="
        assert "+" not in clause.version, f"{pin} exists on one kind of machine only"
        pins[canonicalize_name(pin.name)] = clause.version
    for needed in requirements(project):
        assert pins[canonicalize_name(needed.name)] in needed.specifier, needed


def studio_graphs(root: Path) -> dict[str, str]:
    graphs = json.loads((root / "langgraph.json").read_text(encoding="utf-8"))["graphs"]
    return {name: graph["path"] for name, graph in graphs.items()}


def test_studio_opens_the_graphs_of_the_design(root: Path) -> None:
    assert {"reasoning", "improvement"} <= set(studio_graphs(root))


def test_studios_graphs_load_without_a_checkpointer(root: Path) -> None:
    # The server brings its own checkpointer and refuses a graph that has one.
    for name, address in studio_graphs(root).items():
        file, _, variable = address.partition(":")
        spec = importlib.util.spec_from_file_location(f"studio_{name}", root / file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        graph = getattr(module, variable)
        assert isinstance(graph, CompiledStateGraph), address
        assert not graph.checkpointer, address
        assert graph.get_input_jsonschema()["properties"], f"{address}: Studio would show no input form"
