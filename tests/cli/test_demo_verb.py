"""`ratchet demo --json`, whole: what it prints, and that the pocket model learns what it should."""

import subprocess
import sys

import orjson
import pytest

from langgraph_ratchet.evaluation.gate import GateSettings
from langgraph_ratchet.evaluation.statistics import paired_p_value
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_ends_with_a_better_model_and_says_so_in_one_object() -> None:
    command = [sys.executable, "-c", "from langgraph_ratchet.cli import main; main()", "demo", "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    figures = orjson.loads(done.stdout)
    assert figures["n_heldout"] >= 400
    assert 0.35 <= figures["base_accuracy"] <= 0.65
    assert figures["candidate_accuracy"] >= 0.88
    assert figures["p_value"] < 0.01
    assert figures["decision"] == "promote"
    assert all(check["passed"] for check in figures["checks"])
    for both in figures["by_type"].values():
        assert 0 < both["base"]["value"] < 1
    never = figures["never_practised"]
    assert never["candidate"]["low"] > never["base"]["high"]
    assert {shown["right"] for shown in figures["shown"]} == {True, False}
    assert figures["peak_rss_mib"] > 0
    assert {"diagnose", "roll_out", "train", "evaluate"} <= figures["seconds_by_phase"].keys()


def test_the_quick_demo_has_too_few_problems_to_promote_anything() -> None:
    problems = generate(load_suite("quick"))
    assert len(problems) == 6
    p_value = paired_p_value(wins=len(problems), losses=0)
    assert p_value is not None
    assert p_value > GateSettings().alpha
