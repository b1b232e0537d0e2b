"""Installs packages as pip would, as far as Python looks: a `.dist-info` folder on the path, and the code."""

import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent / "ratchet_example_plugin"

Install = Callable[..., Path]


def write_dist_info(folder: Path, name: str, version: str, entry_points: Mapping[str, Mapping[str, str]]) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Adds folders to the path of this process and of those that it starts; afterwards nothing of them is left."""
    added: list[str] = []

    def add(folder: Path) -> None:
        added.append(str(folder))
        monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder)])))

    yield add
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(tuple(added) or "no folder"):
            del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, on_path: Callable[[Path], None]) -> Install:
    """Installs a package of one module: its name, the module's text, and entry points by kind."""

    def install(name: str, text: str = "", *, version: str = "1.0", **points: Mapping[str, str]) -> Path:
        folder = tmp_path / "installed" / name
        write_dist_info(folder, name, version, {f"langgraph_ratchet.{kind}": given for kind, given in points.items()})
        (folder / f"{name.replace('-', '_')}.py").write_text(text)
        on_path(folder)
        return folder

    return install


@pytest.fixture
def example(tmp_path: Path, on_path: Callable[[Path], None]) -> str:
    """The example package, installed; gives its import name."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    write_dist_info(tmp_path / "installed", project["name"], project["version"], project["entry-points"])
    on_path(tmp_path / "installed")
    on_path(EXAMPLE / "src")
    return EXAMPLE.name
