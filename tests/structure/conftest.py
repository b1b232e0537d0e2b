"""The repository as the structure tests see it, and environments that hold less than the one they run in."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
OURS = "langgraph-ratchet"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def package(root: Path) -> Path:
    """The package's folder."""
    return root / "src" / "langgraph_ratchet"


@pytest.fixture(scope="session")
def dependencies() -> Callable[[Iterable[str]], set[str]]:
    """Canonical names of the distributions that the package with these extras brings along."""
    return dependencies_of


@pytest.fixture(scope="session")
def build_from() -> Callable[[str, Path, Path], Path]:
    """Builds the `wheel` or the `sdist` of a source folder into another one."""
    return build


@pytest.fixture(scope="session")
def new_environment() -> Callable[[Path, Iterable[str]], Path]:
    """Makes an environment with all that the package with these extras needs, and without the package."""
    return make_environment


@pytest.fixture(scope="session")
def wheel_file(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this source."""
    return build("wheel", root, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def base_install(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    """The interpreter of an environment as `pip install langgraph-ratchet` makes it: no extra, and this source."""
    python = make_environment(tmp_path_factory.mktemp("base"), ())
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    (site / package.name).symlink_to(package)
    link(site, [path for path in importlib.metadata.files(OURS) or () if path.parts[0].endswith(".dist-info")])
    return python


def build(kind: str, source: Path, folder: Path) -> Path:
    """Builds the `wheel` or the `sdist` as an installer does, and gives the file."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("langgraph_ratchet-*")
    return file


def make_environment(folder: Path, extras: Iterable[str]) -> Path:
    """The interpreter of a new environment with all that we depend on, and without us.

    Nothing is downloaded: each file of each package is a link to the one in the environment that the tests run in.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = folder / "lib" / Path(sysconfig.get_path("purelib")).parts[-2] / "site-packages"
    for name in dependencies_of(extras) - {OURS}:
        link(site, importlib.metadata.files(name) or ())
    return python


def link(site: Path, files: Iterable[importlib.metadata.PackagePath]) -> None:
    """Links installed files into another environment; scripts, which lie outside of site-packages, are left out."""
    made: set[Path] = set()
    for file in files:
        target = site / file
        if ".." in file.parts:
            continue
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        os.symlink(file.locate(), target)


def dependencies_of(extras: Iterable[str]) -> set[str]:
    """Canonical names of the distributions that a package with these extras brings along, itself included."""
    waiting = [(OURS, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, asked = waiting.pop()
        if (name, asked) in seen:
            continue
        seen.add((name, asked))
        for need in map(Requirement, importlib.metadata.requires(name) or ()):
            marker = need.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (asked or {""})):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))
    return {name for name, _ in seen}
