"""The report is written from what the round has left, however far it came."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.improvement.tiny_run import tiny_services, tiny_settings

from langgraph_ratchet.core.decision import Verdict
from langgraph_ratchet.core.question import QuestionType
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.evaluation.gate import decide
from langgraph_ratchet.evaluation.report import Conclusion
from langgraph_ratchet.improvement.page import command, conclusion, round_page, write_page
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Services whose model is never loaded."""
    made = tiny_services(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def state(services: Services) -> Any:
    """A round that has measured the champion, which solves every second problem."""
    given = tiny_settings(services.folder, count=8)
    left = {**given, "round": 1, "rounds": 1, "champion": None, "promotion": "ask", "seed": 0, "temperature": 1.0}
    return {
        "samples": 4,
        **left,
        "baseline": measured(services, left, "champion", lambda number: number % 2 == 0, None),
    }


def measured(services: Services, state: Any, name: str, right: Any, version: str | None) -> str:
    """Path of a report on the state's suite."""
    suite = load_suite(state["suite"])
    rows = tuple(
        ReportRow(
            problem_id=problem.id,
            trace_id=f"trace_{name}_{number}",
            type=problem.question.type or QuestionType.MATHEMATICAL,
            family=problem.family,
            difficulty=problem.difficulty,
            answer="1",
            correct=right(number),
            strict=right(number),
            outcome=Outcome.ANSWERED,
            calls=4,
            tool_calls=1,
            tokens=100,
            seconds=0.5,
        )
        for number, problem in enumerate(generate(suite))
    )
    report = Report(suite_hash=suite.hash, model="pocket", model_version=version, temperature=0.0, seed=0, rows=rows)
    path = services.folder / f"{name}.json"
    path.write_text(report.model_dump_json(), encoding="utf-8")
    return str(path)


def test_before_anything_was_measured_there_is_none(services: Services, state: Any) -> None:
    assert write_page({**state, "baseline": None}, services) is None


def test_a_round_that_learned_nothing_says_why(services: Services, state: Any) -> None:
    path = write_page({**state, "stopped": "no rollout was fit to learn from"}, services)
    assert path == str(services.folder / "improve" / "tiny" / "round-1" / "report.html")
    html = Path(path).read_text(encoding="utf-8")
    assert "Nothing to learn from." in html
    assert "no rollout was fit to learn from" in html


def test_problems_that_flipped_are_shown_though_their_traces_are_gone(services: Services, state: Any) -> None:
    report = measured(services, state, "candidate", lambda number: number != 0, "v_x")
    before, after = (Report.model_validate_json(Path(path).read_bytes()) for path in (state["baseline"], report))
    decision = decide(before, after, candidate_id="v_x", champion_id=None).model_dump(mode="json")
    page = round_page({**state, "report": report, "candidate": "v_x", "decision": decision}, services)
    assert (page.flips.won, page.flips.lost) == (4, 1)
    assert len(page.flips.wins) == 4
    assert page.flips.wins[0].before is None
    assert page.flips.losses[0].problem.id == before.rows[0].problem_id
    assert dict(page.provenance.versions)["suite"].endswith(before.suite_hash)
    assert (
        "The trace is not in the store any more."
        in Path(str(write_page({**state, "report": report}, services))).read_text()
    )


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ({}, Conclusion.UNDER_WAY),
        ({"stopped": "nothing to learn from"}, Conclusion.NOTHING_LEARNED),
        ({"decision": {"verdict": Verdict.REJECT}}, Conclusion.REJECTED),
        ({"decision": {"verdict": "not_enough_evidence"}}, Conclusion.NOT_ENOUGH_EVIDENCE),
        ({"decision": {"verdict": "promote"}, "approval": None, "promoted": False}, Conclusion.WAITING),
        ({"decision": {"verdict": "promote"}, "promoted": True}, Conclusion.PROMOTED),
        ({"decision": {"verdict": "promote"}, "approval": {"verdict": "reject"}}, Conclusion.NOT_PROMOTED),
        ({"decision": {"verdict": "promote"}, "stopped": "another is champion"}, Conclusion.NOT_PROMOTED),
    ],
)
def test_it_says_what_became_of_the_candidate(left: Any, expected: Conclusion) -> None:
    assert conclusion(left) is expected


def test_the_command_does_the_same_again() -> None:
    settings: Any = {"suite": "my suite.toml", "practice": "p", "rounds": 2, "samples": 4, "temperature": 1.0}
    line = command({**settings, "seed": 3, "sampled_problems": 0, "control": True, "deterministic": True}, "pocket")
    assert line == (
        "ratchet improve --model pocket --suite 'my suite.toml' --practice p --rounds 2 --samples 4 --temperature 1.0 "
        "--seed 3 --sampled 0 --deterministic --control"
    )
