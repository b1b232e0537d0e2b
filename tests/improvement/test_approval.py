"""What follows when the gate says promote: it waits for a person, unless the settings say otherwise."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.decision import Decision, Verdict
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.improvement.graph import build
from langgraph_ratchet.improvement.nodes.diagnose import settle
from langgraph_ratchet.improvement.snapshots import is_finished, question_of
from langgraph_ratchet.improvement.state import new_round

CONFIG = {"configurable": {"thread_id": "test"}}


@pytest.fixture
def candidate(workplace: Any, tmp_path: Path) -> str:
    """A version in the registry, made without training."""
    import torch
    from safetensors.torch import save_file

    staged = tmp_path / "staged"
    staged.mkdir()
    save_file({"base_model.model.lora_A.weight": torch.zeros(2, 2)}, staged / "adapter_model.safetensors")
    (staged / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2}', encoding="utf-8")
    version = workplace.services.registry.add(
        staged,
        base="pocket",
        parent=None,
        dataset_hash="0" * 64,
        trace_ids=[],
        fingerprint=Fingerprint(base="b", tokenizer="t", template="c"),
        training=None,
        arguments={},
    )
    shutil.rmtree(staged)
    return str(version.id)


def at_the_gate(workplace: Any, candidate: str, verdict: Verdict, promotion: str) -> Any:
    """The graph, standing where the gate has just decided."""
    decision = Decision(candidate=candidate, champion=None, suite_hash="s", verdict=verdict, checks=(), p_value=0.001)
    graph = workplace.graph()
    state = {
        **settle({**workplace.settings, "promotion": promotion}),
        **new_round(1, None),
        "history": [],
        "candidate": candidate,
        "decision": decision.model_dump(mode="json"),
    }
    graph.update_state(CONFIG, state, as_node="gate")
    return graph


def asked(graph: Any) -> dict[str, Any] | None:
    return question_of(graph.get_state(CONFIG))


@pytest.mark.parametrize(
    ("answer", "promoted"),
    [
        (True, True),
        ("promote", True),
        ({"verdict": "promote", "reason": "looks good", "by": "Ada"}, True),
        (False, False),
        ({"verdict": "reject", "reason": "too slow"}, False),
    ],
)
def test_it_asks_first_and_only_yes_promotes(workplace: Any, candidate: str, answer: Any, promoted: bool) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "ask")
    graph.invoke(None, CONFIG)
    assert asked(graph)
    assert workplace.services.registry.champion is None
    state = graph.invoke(Command(resume=answer), CONFIG)
    assert state["promoted"] is promoted
    assert (workplace.services.registry.champion is not None) is promoted
    assert is_finished(graph.get_state(CONFIG))


def test_who_decided_and_why_stands_in_the_state_and_in_the_registry(workplace: Any, candidate: str) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "ask")
    graph.invoke(None, CONFIG)
    answer = {"verdict": "promote", "reason": "read 20 of the traces", "by": "Ada"}
    state = graph.invoke(Command(resume=answer), CONFIG)
    assert state["approval"] == {**answer, "count": None}
    assert state["history"][0]["approval"]["by"] == "Ada"
    (entry,) = workplace.services.registry.history()
    assert "round 1; approved by Ada (read 20 of the traces)" in entry.reason


@pytest.mark.parametrize(
    "answer",
    ["maybe", 1, {"verdict": "promote", "count": 5}, {"verdict": "more_problems"}, {"verdict": "yes"}, ["promote"]],
)
def test_what_is_no_answer_is_asked_for_again(workplace: Any, candidate: str, answer: Any) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "ask")
    graph.invoke(None, CONFIG)
    graph.invoke(Command(resume=answer), CONFIG)
    again = asked(graph)
    assert again is not None
    assert "cannot be understood" in again["error"]
    assert "'promote', 'reject' or 'more_problems'" in again["error"]
    assert graph.invoke(Command(resume=True), CONFIG)["promoted"] is True


def test_more_problems_than_there_are_is_asked_again(workplace: Any, candidate: str) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "ask")
    graph.invoke(None, CONFIG)
    graph.invoke(Command(resume={"verdict": "more_problems", "count": 10**6}), CONFIG)
    again = asked(graph)
    assert again is not None
    assert "ask for fewer" in again["error"]
    assert graph.get_state(CONFIG).values["more"] == []


def test_the_form_is_sent_along_for_clients_that_show_one(workplace: Any, candidate: str) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "ask")
    graph.invoke(None, CONFIG)
    (interrupt,) = graph.get_state(CONFIG).tasks[0].interrupts
    properties = interrupt.response_schema["properties"]
    assert properties["verdict"]["enum"] == ["promote", "reject", "more_problems"]
    assert all(field["description"] for field in properties.values())


def test_a_champion_that_changed_meanwhile_is_not_replaced(workplace: Any, candidate: str) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "auto")
    graph.update_state(CONFIG, {"champion": "v_that_was_rolled_back"}, as_node="gate")
    state = graph.invoke(None, CONFIG)
    assert state["promoted"] is False
    assert "the bare base has become champion since" in state["stopped"]
    assert workplace.services.registry.history() == []


@pytest.mark.parametrize(("promotion", "promoted"), [("auto", True), ("never", False)])
def test_the_settings_can_answer_beforehand(workplace: Any, candidate: str, promotion: str, promoted: bool) -> None:
    state = at_the_gate(workplace, candidate, Verdict.PROMOTE, promotion).invoke(None, CONFIG)
    assert state["promoted"] is promoted


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.NOT_ENOUGH_EVIDENCE])
def test_what_the_gate_has_not_passed_is_never_promoted(workplace: Any, candidate: str, verdict: Verdict) -> None:
    state = at_the_gate(workplace, candidate, verdict, "auto").invoke(None, CONFIG)
    assert state["promoted"] is False
    assert workplace.services.registry.champion is None


def test_a_promotion_that_ran_twice_happens_once(workplace: Any, candidate: str) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "auto")
    graph.invoke(None, CONFIG)
    at_the_gate(workplace, candidate, Verdict.PROMOTE, "auto").invoke(None, CONFIG)
    assert len(workplace.services.registry.history()) == 1


def test_practice_on_held_out_problems_is_refused(workplace: Any) -> None:
    from langgraph_ratchet.improvement.nodes.propose import practice_suite

    state = {**workplace.settings, "practice": workplace.settings["suite"], "round": 1, "seed": 0}
    with pytest.raises(BadInputError, match="needs one of the split 'train'"):
        practice_suite(state)


def test_asking_without_a_checkpointer_is_refused_before_anything_is_done(workplace: Any) -> None:
    graph = build(workplace.services).compile()
    with pytest.raises(BadInputError, match="without a checkpointer the run cannot wait"):
        graph.invoke({**workplace.settings, "promotion": "ask"})
    assert not workplace.services.store.traces(limit=None)


def test_a_run_has_a_round_at_least(workplace: Any) -> None:
    with pytest.raises(BadInputError, match="rounds is 0"):
        workplace.graph().invoke({**workplace.settings, "rounds": 0}, CONFIG)
