"""What was acknowledged survives `kill -9`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def _killed(trials: int) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("killing.py")), "--trials", str(trials)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("trials", [3, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_an_acknowledged_record_survives_a_kill(trials: int) -> None:
    result = _killed(trials)
    assert (result["lost"], result["unfound"]) == (0, 0)
    assert result["acknowledged"] > trials
