"""A slice of the benchmark: constrained calls by the pocket model at temperature 1.5, on schemas drawn at random."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "constrained.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_reply_is_invalid_or_cut():
    command = [sys.executable, str(BENCHMARK), "--calls", "500", "--seed", "2", "--threads", "1"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    counts = json.loads(output.splitlines()[-1])
    wrong = ("invalid_tool_calls", "invalid_json", "cut", "failed")
    assert {name: counts[name] for name in wrong} == dict.fromkeys(wrong, 0), output
    assert counts["calls"] == 500
