"""Several rounds, resumed by name and without, asked for more problems, on the pocket model."""

from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from langgraph_ratchet.core.decision import Decision, Verdict
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.improvement.nodes.diagnose import settle
from langgraph_ratchet.improvement.nodes.propose import read_problems
from langgraph_ratchet.improvement.rounds import run_rounds
from langgraph_ratchet.improvement.snapshots import question_of
from langgraph_ratchet.improvement.state import new_round

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG: Any = {"configurable": {"thread_id": "test"}}


class Stopped(Exception):
    """Ends the process's part of a run, as Ctrl-C does."""


def stop_after(node: str, *, times: int = 1) -> Any:
    """An `on_event` that ends the run once the node has run so often."""
    seen: list[str] = []

    def on_event(mode: str, event: Any) -> None:
        seen.extend(event if mode == "updates" else ())
        if seen.count(node) == times:
            raise Stopped

    return on_event


def test_two_rounds_stopped_on_the_way_and_resumed_without_a_name(workplace: Any) -> None:
    services = workplace.services
    settings = {**workplace.settings, "rounds": 2, "sampled_problems": 0, "promotion": "never"}
    for resume, node in ((False, "curate"), (True, "remember"), (True, "roll_out")):
        given = {"promotion": "never"} if resume else settings
        with pytest.raises(Stopped):
            run_rounds(services, given, resume=resume, on_event=stop_after(node))
    state = run_rounds(services, {}, resume=True).state
    assert [line["round"] for line in state["history"]] == [1, 2]
    assert state["over"] == state["run_id"] == "test"
    # The champion did not change, so it was measured once; and each round practised other problems.
    assert len(services.store.traces(limit=None)) == 10 + 2 * (10 * 4 + 10)
    folder = services.run_folder("test")
    practised = [{problem.id for problem in read_problems(folder / f"round-{n}" / "practice.json")} for n in (1, 2)]
    assert not practised[0] & practised[1]
    assert len(services.registry.versions()) == 2
    (check,) = [check for check in state["decision"]["checks"] if check["name"] == "paired_test"] or [None]
    assert check is None or check["required"] == pytest.approx(0.005)
    with pytest.raises(BadInputError, match="there is no unfinished run"):
        run_rounds(services, {}, resume=True)
    assert run_rounds(services, {"run_id": "test"}, resume=True).state["history"] == state["history"]


def test_a_run_goes_on_with_what_it_began_with(workplace: Any) -> None:
    with pytest.raises(Stopped):
        run_rounds(workplace.services, workplace.settings, on_event=stop_after("diagnose"))
    with pytest.raises(BadInputError, match="samples was 4 and is 9 now"):
        run_rounds(workplace.services, {"run_id": "test", "samples": 9}, resume=True)
    with pytest.raises(BadInputError, match="does not wait for an answer"):
        run_rounds(workplace.services, {"run_id": "test"}, resume=True, answer=True)
    with pytest.raises(BadInputError, match="run 'test' exists"):
        run_rounds(workplace.services, workplace.settings)


@pytest.fixture
def untrained(workplace: Any, tmp_path: Path) -> str:
    """A version that does what the base does: its adapter was never trained."""
    from langgraph_ratchet.chat_models.base import load_base
    from langgraph_ratchet.training.adapter import attached_lora, save_adapter
    from langgraph_ratchet.training.job import Job, Lora

    job = Job(base="pocket", dataset=tmp_path / "none.json", out=tmp_path / "untrained")
    base = load_base("pocket")
    with attached_lora(base.model, Lora(), seed=0) as model:
        save_adapter(model, job)
    added = workplace.services.registry.add(
        job.out,
        base="pocket",
        parent=None,
        dataset_hash="0" * 64,
        trace_ids=[],
        fingerprint=base.fingerprint,
        training=None,
        arguments={},
    )
    return str(added.id)


def test_more_problems_are_measured_for_both_and_the_gate_decides_anew(workplace: Any, untrained: str) -> None:
    graph = workplace.graph()
    decision = Decision(
        candidate=untrained, champion=None, suite_hash="s", verdict=Verdict.PROMOTE, checks=(), p_value=0
    )
    state = {
        **settle({**workplace.settings, "promotion": "ask"}),
        **new_round(1, None),
        "history": [],
        "candidate": untrained,
        "decision": decision.model_dump(mode="json"),
    }
    graph.update_state(CONFIG, state, as_node="gate")
    graph.invoke(None, CONFIG)
    assert question_of(graph.get_state(CONFIG))
    state = graph.invoke(Command(resume={"verdict": "more_problems", "count": 4}), CONFIG)
    baseline, report = (Report.model_validate_json(Path(state[name]).read_bytes()) for name in ("baseline", "report"))
    ids = [row.problem_id for row in baseline.rows]
    assert ids == [row.problem_id for row in report.rows]
    assert len(set(ids)) == 10 + 4
    assert baseline.suite_hash == report.suite_hash
    # The same model on both sides: however it was passed before, it is not over the union.
    assert state["decision"]["verdict"] == "reject"
    assert state["promoted"] is False
    assert question_of(graph.get_state(CONFIG)) is None
