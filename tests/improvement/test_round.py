"""A round of improvement, whole, on the pocket model: what each node leaves, and what the promises are worth."""

from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.decision import Decision
from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.core.problem import Split
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.improvement.nodes.propose import read_problems
from langgraph_ratchet.improvement.summary import summarize
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite

pytestmark = pytest.mark.slow

ORDER = "diagnose propose roll_out grade curate train evaluate gate approve promote remember".split()


@pytest.fixture(scope="module")
def dataset(finished: Any) -> Dataset:
    return Dataset.model_validate_json(Path(finished.state["dataset"]).read_bytes())


def test_the_nodes_run_in_the_order_of_the_design_and_say_how_far_they_are(finished: Any) -> None:
    assert finished.nodes == ORDER
    phases = [event["phase"] for event in finished.progress]
    assert (
        list(dict.fromkeys(phases)) == "diagnose sample propose roll_out grade curate train evaluate remember".split()
    )
    assert set(finished.state["seconds"]) == set(ORDER)


def test_practice_and_measurement_share_no_problem(finished: Any) -> None:
    practised = read_problems(finished.state["practice_problems"])
    measured = generate(load_suite(finished.state["suite"]))
    assert {problem.split for problem in practised} == {Split.TRAIN}
    assert {problem.split for problem in measured} == {Split.HELD_OUT}
    assert not {problem.id for problem in practised} & {problem.id for problem in measured}


def test_only_verified_runs_of_practice_problems_are_learned_from(finished: Any, dataset: Dataset) -> None:
    store = finished.workplace.services.store
    practised = {problem.id for problem in read_problems(finished.state["practice_problems"])}
    assert dataset.examples
    for trace_id in {example.trace_id for example in dataset.examples}:
        assert store.trace(trace_id).question.id in practised
        assert all(grade.verified for grade in store.grades(trace_id))


def test_the_loss_stands_on_the_models_own_tokens_alone(finished: Any, dataset: Dataset) -> None:
    store = finished.workplace.services.store
    calls = {call.id: call for example in dataset.examples for call in store.trace(example.trace_id).calls}
    for example in dataset.examples:
        tokens = calls[example.call_id].tokens
        learned = [id_ for id_, mask in zip(example.input_ids, example.loss_mask, strict=True) if mask]
        assert example.input_ids == tokens.prompt_ids + tokens.completion_ids
        assert tuple(learned) == tokens.completion_ids
    # Tool output stands in the prompts of some of them, so the above says something about it.
    assert any(message["role"] == "tool" for call in calls.values() for message in call.messages)


def test_recorded_log_probabilities_are_those_of_the_model_that_generated_them(finished: Any) -> None:
    services, state = finished.workplace.services, finished.state
    reports = [Report.model_validate_json(Path(state[name]).read_bytes()) for name in ("baseline", "report")]
    for version, measured in zip((None, state["candidate"]), reports, strict=True):
        model: ChatTransformers = services.model(version)
        calls = [call for row in measured.rows[:4] for call in services.store.trace(row.trace_id).calls]
        for call in calls:
            tokens = call.tokens
            assert tokens is not None
            again = model.score(tokens.prompt_ids, tokens.completion_ids)
            assert again == pytest.approx(tokens.logprobs, abs=1e-4)
            assert (tokens.fingerprint.adapter is None) == (version is None)


def test_a_version_is_traced_back_to_every_run_it_learned_from(finished: Any, dataset: Dataset) -> None:
    version = finished.workplace.services.registry.get(finished.state["candidate"])
    assert version.dataset_hash == dataset.hash
    assert set(version.trace_ids) == {example.trace_id for example in dataset.examples}
    assert version.parent is None
    assert version.fingerprint.same_base(dataset.fingerprint)


def test_both_reports_are_on_the_same_problems_and_the_decision_follows_from_them(finished: Any) -> None:
    baseline, report = (
        Report.model_validate_json(Path(finished.state[name]).read_bytes()) for name in ("baseline", "report")
    )
    assert [row.problem_id for row in baseline.rows] == [row.problem_id for row in report.rows]
    decision = Decision.model_validate(finished.state["decision"])
    assert decision.candidate == finished.state["candidate"]
    promoted = decision.verdict == "promote"
    assert finished.state["promoted"] is promoted
    champion = finished.workplace.services.registry.champion
    assert (champion.id if champion else None) == (decision.candidate if promoted else None)


def test_the_summary_says_what_the_reports_hold(finished: Any) -> None:
    figures = summarize(finished.state)
    baseline = Report.model_validate_json(Path(finished.state["baseline"]).read_bytes())
    assert figures["n_heldout"] == len(baseline.rows) == 10
    assert figures["base_accuracy"] == baseline.accuracy().value
    assert figures["by_type"]["mathematical"]["candidate"]["n"] == 10
    assert figures["decision"] == finished.state["decision"]["verdict"]
    assert figures["sampled"]["problems"] == 3
    assert figures["never_practised"] is None


def test_what_was_rolled_out_is_not_rolled_out_again(finished: Any) -> None:
    store = finished.workplace.services.store
    before = len(store.traces(limit=None))
    graph = finished.workplace.graph()
    state = graph.invoke(
        finished.workplace.settings, {"configurable": {"thread_id": "again"}}, interrupt_after=["curate"]
    )
    assert len(store.traces(limit=None)) == before
    assert Dataset.model_validate_json(Path(state["dataset"]).read_bytes()).hash == (
        finished.workplace.services.registry.get(finished.state["candidate"]).dataset_hash
    )
