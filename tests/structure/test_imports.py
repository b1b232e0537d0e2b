"""The package is light to import, its public names resolve, and the base install is enough for what needs no extra."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import langgraph_ratchet

HEAVY = ("chromadb", "datasets", "peft", "torch", "transformers", "trl")

# Hides every top-level module that no base dependency brings, as if only the base had been installed.
BASE_ONLY = """
import importlib.metadata as metadata, re, sys
from importlib.abc import MetaPathFinder

def closure():
    waiting, seen = [("langgraph-ratchet", frozenset())], set()
    while waiting:
        name, extras = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if (key, extras) in seen:
            continue
        seen.add((key, extras))
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in wanted:
            needed = Requirement(text)
            environments = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if needed.marker is None or any(needed.marker.evaluate(item) for item in environments):
                waiting.append((needed.name, frozenset(needed.extras)))
    return {key for key, _ in seen}

from packaging.requirements import Requirement
base = closure()
owners = metadata.packages_distributions()
normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()
hidden = {top for top, names in owners.items() if not any(normal(name) in base for name in names)}

class Hide(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden)", name=name)

assert {"torch", "transformers", "reasoning_gym"} <= hidden, "run the tests with the dev extra installed"
for name in list(sys.modules):
    if name.partition(".")[0] in hidden:
        del sys.modules[name]
sys.meta_path.insert(0, Hide())
"""


def run_python(code: str, **environment: str) -> str:
    """Standard output of a fresh interpreter that runs `code`."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after `code` ran in a fresh interpreter."""
    listing = run_python(f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")
    return {name.partition(".")[0] for name in json.loads(listing.splitlines()[-1])}


@pytest.mark.parametrize(
    "code",
    [
        "import langgraph_ratchet",
        "from langgraph_ratchet import AnswerKey, Problem, Question, Trace",
        "from langgraph_ratchet import TraceStore, get_tools",
        "from langgraph_ratchet import create_reasoner",
        "from langgraph_ratchet import create_improver",
        "from langgraph_ratchet import ChatTransformers, resolve_model",
        "import langgraph_ratchet.registry",
        "import langgraph_ratchet.cli",
    ],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert not loaded_by(code) & set(HEAVY)


def test_the_package_alone_loads_not_even_langgraph() -> None:
    assert not loaded_by("import langgraph_ratchet") & {"langgraph", "langchain_core", "pydantic", *HEAVY}


@pytest.mark.parametrize("name", langgraph_ratchet.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(langgraph_ratchet, name)
    assert value is not None
    assert getattr(langgraph_ratchet, name) is value


def test_every_public_name_resolves_on_the_base_install() -> None:
    resolved = run_python(
        f"{BASE_ONLY}\nimport langgraph_ratchet\n"
        "for name in langgraph_ratchet.__all__:\n    getattr(langgraph_ratchet, name)\n    print(name)"
    )
    assert resolved.split() == langgraph_ratchet.__all__


def test_the_command_starts_on_the_base_install() -> None:
    shown = run_python(
        f"{BASE_ONLY}\nimport sys\nsys.argv = ['ratchet', '--help']\nfrom langgraph_ratchet.cli import main\nmain()"
    )
    for verb in ("demo", "solve", "improve", "eval", "models", "rollback", "traces"):
        assert verb in shown


def test_type_checkers_see_what_is_exported(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    homes: dict[str, Any] = vars(langgraph_ratchet)["_HOMES"]
    assert seen == {name: f"langgraph_ratchet.{home}" for name, home in homes.items()}
    assert {*seen, "__version__"} == set(langgraph_ratchet.__all__)
    assert set(langgraph_ratchet.__all__) <= set(dir(langgraph_ratchet))


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'create_resoner'; it has: .*create_reasoner"):
        langgraph_ratchet.create_resoner  # noqa: B018


@pytest.mark.parametrize(("given", "found"), [(None, "true True"), ("false", "false False")])
def test_checkpoints_are_strict_unless_the_user_says_otherwise(given: str | None, found: str) -> None:
    code = (
        "import os, langgraph_ratchet\n"
        "from langgraph.checkpoint.serde import _msgpack\n"
        "print(os.environ['LANGGRAPH_STRICT_MSGPACK'], _msgpack.STRICT_MSGPACK_ENABLED)"
    )
    environment = {} if given is None else {"LANGGRAPH_STRICT_MSGPACK": given}
    if given is None:
        code = "import os\nos.environ.pop('LANGGRAPH_STRICT_MSGPACK', None)\n" + code
    assert run_python(code, **environment).strip() == found


def test_every_module_says_what_it_is(package: Path) -> None:
    silent = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent
