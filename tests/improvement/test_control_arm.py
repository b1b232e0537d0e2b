"""A control is trained only where it was asked for, is measured like the candidate, and can never be promoted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.improvement.tiny_run import tiny_services, tiny_settings

from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.improvement.graph import after_evaluate
from langgraph_ratchet.improvement.nodes.control import control
from langgraph_ratchet.improvement.rounds import run_rounds
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.summary import summarize
from langgraph_ratchet.training.job import Job


@pytest.mark.parametrize(
    ("asked", "node"), [({}, "gate"), ({"control": False}, "gate"), ({"control": True}, "control")]
)
def test_it_runs_only_where_it_was_asked_for(asked: Any, node: str) -> None:
    assert after_evaluate(asked) == node


@dataclass(frozen=True)
class Ended:
    """A run of one round that was asked for a control."""

    services: Services
    state: dict[str, Any]
    phases: list[str]

    @property
    def folder(self) -> Path:
        return self.services.folder / "improve" / "tiny" / "round-1"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    folder = tmp_path_factory.mktemp("control")
    services = tiny_services(folder)
    settings: Any = tiny_settings(folder, control=True, promotion="auto")
    phases: list[str] = []

    def heard(mode: str, event: Any) -> None:
        if mode == "custom" and event["phase"] not in phases:
            phases.append(event["phase"])

    standing = run_rounds(services, settings, on_event=heard)
    yield Ended(services, dict(standing.state), phases)
    services.store.close()


@pytest.mark.slow
def test_it_learns_from_as_many_runs_as_the_candidate_by_the_same_recipe(ended: Ended) -> None:
    curated, drawn = (
        Dataset.model_validate_json((ended.folder / name).read_bytes())
        for name in ("dataset.json", "control-dataset.json")
    )
    traces = [{example.trace_id for example in dataset.examples} for dataset in (curated, drawn)]
    assert len(traces[0]) == len(traces[1]) == ended.state["control_arm"]["curated"]["traces"]
    # The lot was drawn among all runs, the wrong ones too.
    assert {drop.reason: drop.count for drop in drawn.dropped} == {
        "not_drawn": ended.state["rollouts"]["traces"] - len(traces[1])
    }
    assert ended.state["rollouts"]["wrong"] > 0
    jobs = [Job.read(ended.folder / name / "job.json") for name in ("training", "control")]
    assert len({job.model_dump_json(exclude={"dataset", "out"}) for job in jobs}) == 1


@pytest.mark.slow
def test_it_is_measured_on_the_same_problems_and_compared(ended: Ended) -> None:
    candidate, measured = (
        Report.model_validate_json((ended.folder / name).read_bytes()) for name in ("candidate.json", "control.json")
    )
    assert {row.problem_id for row in candidate.rows} == {row.problem_id for row in measured.rows}
    assert not {row.trace_id for row in candidate.rows} & {row.trace_id for row in measured.rows}
    figures = summarize(ended.state)["control"]
    assert figures["verdict"] in ("yes", "no", "not_enough_evidence")
    assert figures["candidate"]["n"] == figures["control"]["n"] == len(candidate.rows)
    assert ended.phases.index("evaluate") < ended.phases.index("control_train") < ended.phases.index("control_evaluate")


@pytest.mark.slow
def test_it_never_enters_the_registry(ended: Ended) -> None:
    assert [version.id for version in ended.services.registry.versions()] == [ended.state["candidate"]]
    version = Report.model_validate_json((ended.folder / "control.json").read_bytes()).model_version
    assert version is not None
    assert version.startswith("control_")
    assert not (ended.services.registry.root / "versions" / version).exists()


@pytest.mark.slow
def test_doing_it_again_gives_the_same_and_trains_nothing(ended: Ended) -> None:
    state: Any = ended.state
    said = []
    again = control(state, ended.services, lambda progress: said.append(progress.phase))
    assert again["control_arm"] == ended.state["control_arm"]
    assert "control_train" not in said


@pytest.mark.slow
def test_the_report_says_what_curation_was_worth(ended: Ended) -> None:
    page = Path(ended.state["page"]).read_text(encoding="utf-8")
    assert page.count("Did curation do the work?") == 1
    assert f"{ended.state['control_arm']['right']} of them right" in page
    assert "--control" in page
