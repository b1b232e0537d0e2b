"""The package is light to import, and its public names resolve."""

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
