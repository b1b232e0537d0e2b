"""Improvement runs of three rounds, killed and resumed: nothing is lost, nothing is done twice.

`make test-slow` kills 15 times at random; `benchmarks/kills.py` does it 100 times.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.slow


def measured(*options: str) -> dict[str, Any]:
    """What `killing.py` prints, in a process of its own: it forks, and must not have trained before."""
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, *options], capture_output=True, text=True, check=False
    )
    print(done.stderr)
    assert done.stdout, done.stderr
    found: dict[str, Any] = orjson.loads(done.stdout)
    assert (found["lost"], found["doubled"], found["rubbish"]) == (0, 0, 0), found["wrong"]
    assert done.returncode == 0
    assert found["promotions_each"] >= 1, "nothing was promoted, so it was not shown that it happens once"
    return found


@pytest.mark.timeout(1200)
def test_killed_at_random_moments() -> None:
    found = measured("--kills", "15")
    assert found["kills"] == 15


@pytest.mark.timeout(1800)
def test_killed_once_at_each_side_effect_of_each_node() -> None:
    killed = measured("--everywhere")["killed"]
    for node in (
        "diagnose",
        "propose",
        "roll_out",
        "grade",
        "curate",
        "train",
        "evaluate",
        "gate",
        "promote",
        "remember",
    ):
        assert killed[node] >= 1, f"{node} was not killed"
        assert killed.get(f"after {node}", 0) >= 1 or node == "remember", f"no checkpoint after {node} was killed"
