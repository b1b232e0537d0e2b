"""langgraph.json: what the server's own check says of it, and what loading its graphs costs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import StoreError

ROOT = Path(__file__).parents[2]
LOADED = """
import json, runpy, sys
for path in sys.argv[1:]:
    runpy.run_path(path)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    return read


def test_the_file_is_what_langgraph_expects(configuration: dict[str, Any]) -> None:
    from langgraph_cli.config import get_unknown_keys, validate_config_file

    checked = validate_config_file(ROOT / "langgraph.json")
    assert get_unknown_keys(configuration) == []
    assert checked["graphs"].keys() == {"reasoning", "improvement"}
    assert all(graph["description"] for graph in checked["graphs"].values())


def test_checkpoints_are_ours_and_never_pickled(configuration: dict[str, Any]) -> None:
    assert configuration["checkpointer"]["serde"] == {"pickle_fallback": False}
    file, _, name = configuration["checkpointer"]["path"].partition(":")
    assert name in (ROOT / file).read_text(encoding="utf-8")


def test_the_graphs_load_without_torch(configuration: dict[str, Any], tmp_path: Path) -> None:
    paths = [str(ROOT / graph["path"].partition(":")[0]) for graph in configuration["graphs"].values()]
    command = [sys.executable, "-c", LOADED, *paths]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "transformers", "peft"} & set(json.loads(done.stdout))


def test_a_damaged_database_is_one_clear_error(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DAMAGED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "move the file away" in done.stdout


DAMAGED = f"""
import asyncio, os, pathlib, sys
os.chdir(sys.argv[1])
pathlib.Path(".ratchet").mkdir()
pathlib.Path(".ratchet/studio.db").write_bytes(b"not a database" * 1000)
from langgraph_ratchet.core.errors import {StoreError.__name__}
from langgraph_ratchet.serving.studio import checkpointer

async def main():
    try:
        async with checkpointer():
            pass
    except {StoreError.__name__} as error:
        print(error)

asyncio.run(main())
"""
