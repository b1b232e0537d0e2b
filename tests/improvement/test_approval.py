"""What follows when the gate says promote: it waits for a person, unless the settings say otherwise."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.decision import Decision, Verdict

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
        "run_id": "test",
        "round": 1,
        "champion": None,
        "candidate": candidate,
        "promotion": promotion,
        "decision": decision.model_dump(mode="json"),
    }
    graph.update_state(CONFIG, state, as_node="gate")
    return graph


@pytest.mark.parametrize(("answer", "promoted"), [(True, True), (False, False), ("maybe", False)])
def test_it_asks_first_and_only_yes_promotes(workplace: Any, candidate: str, answer: Any, promoted: bool) -> None:
    graph = at_the_gate(workplace, candidate, Verdict.PROMOTE, "ask")
    graph.invoke(None, CONFIG)
    (task,) = graph.get_state(CONFIG).tasks
    assert task.interrupts
    assert workplace.services.registry.champion is None
    state = graph.invoke(Command(resume=answer), CONFIG)
    assert state["promoted"] is promoted
    assert (workplace.services.registry.champion is not None) is promoted


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
    from langgraph_ratchet.core.errors import BadInputError
    from langgraph_ratchet.improvement.nodes.propose import practice_suite

    state = {**workplace.settings, "practice": workplace.settings["suite"], "round": 1, "seed": 0}
    with pytest.raises(BadInputError, match="needs one of the split 'train'"):
        practice_suite(state)
