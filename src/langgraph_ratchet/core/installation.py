"""What is installed: Python, the base dependencies, and each extra with what it lacks."""

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from langgraph_ratchet.core.errors import install_command
from langgraph_ratchet.core.finding import Finding, State

DISTRIBUTION = "langgraph-ratchet"
_GATHERED = ("all", "dev")
"""Extras that only gather others."""


def check_python() -> Finding:
    """The interpreter's version against what the package asks for."""
    found = platform.python_version()
    wanted = metadata(DISTRIBUTION)["Requires-Python"]
    fits = SpecifierSet(wanted).contains(found, prereleases=True)
    return Finding(
        part="python",
        name="python",
        state=State.OK if fits else State.BROKEN,
        said=f"{found} at {sys.executable}" + ("" if fits else f"; wanted {wanted}"),
        fix=None if fits else f"make an environment with Python {wanted} and install {DISTRIBUTION} there",
        facts={"version": found, "executable": sys.executable, "required": wanted},
    )


def check_packages() -> Iterator[Finding]:
    """The base install first, then every extra. Versions are read, nothing is imported."""
    wanted = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    yield _installed("base", [need for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})])
    for extra in metadata(DISTRIBUTION).get_all("Provides-Extra") or []:
        if extra not in _GATHERED:
            yield _installed(extra, [need for need in wanted if _only_in(extra, need)])


def _only_in(extra: str, need: Requirement) -> bool:
    marker = need.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _installed(name: str, wanted: list[Requirement]) -> Finding:
    is_base = name == "base"
    versions = {need.name: _version(need.name) for need in wanted}
    lacking = [need for need in wanted if not _fits(need, versions[need.name])]
    said = ", ".join(f"{package} {found}" for package, found in versions.items() if found) or "nothing installed"
    if not wanted:
        said = "brings nothing yet: the name of a part that is to come"
    if lacking:
        said = "; ".join(_lack(need, versions[need.name]) for need in lacking)
    return Finding(
        part="install" if is_base else "extra",
        name=name,
        state=State.OK if not lacking else State.BROKEN if is_base else State.LACK,
        said=said,
        fix=install_command(None if is_base else name) if lacking else None,
        facts={"packages": versions, "lacking": [need.name for need in lacking]},
    )


def _fits(need: Requirement, found: str | None) -> bool:
    return found is not None and need.specifier.contains(found, prereleases=True)


def _lack(need: Requirement, found: str | None) -> str:
    bounds = re.sub(r"(?<=\d),", ", ", str(need.specifier))
    return f"{need.name} is missing" if found is None else f"{need.name} {found} does not fit {bounds}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
