"""The load of benchmarks/tool_load.py, and in small: many runs with tools at once complete and leave nothing behind."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "tool_load.py"
NOTHING = {"files": 0, "threads": 0, "children": 0}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="not verified here: it counts what is open in /proc")


@pytest.fixture
def tool_load() -> Iterator[ModuleType]:
    pytest.importorskip("mcp")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARK.parent)
        import tool_load

        yield tool_load


def test_runs_with_tools_complete_and_leave_nothing_behind(tool_load: ModuleType) -> None:
    figures = tool_load.measure(24, python_every=0)
    assert (figures["outcomes"], figures["left"]) == ({"answered": 24}, NOTHING)
    assert figures["tool_calls"] == 5 * 24


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_runs_complete_in_less_than_a_gigabyte(tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    command = [sys.executable, BENCHMARK, "--json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    figures = json.loads(ran.stdout)
    assert (figures["outcomes"], figures["left"]) == ({"answered": 1_000}, NOTHING)
    assert figures["resident_mb"] < 1_000
    assert ran.returncode == 0
    assert list(tmp_path.iterdir()) == []
