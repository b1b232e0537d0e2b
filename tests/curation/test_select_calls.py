"""Which calls of a right run are learned from."""

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_ratchet.core.call import CallKey, Fingerprint
from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.curation import CurationSettings, curate

Make = Callable[..., Any]

_ALL = CurationSettings(mixed_only=False, max_type_share=1, max_node_share=1)


def _curated(run: Any, fingerprint: Fingerprint) -> tuple[Dataset, list[str]]:
    dataset = curate([run.rolled("7", 1.0)], held_out=(), fingerprint=fingerprint, settings=_ALL)
    return dataset, [example.call_id for example in dataset.examples]


def _dropped(dataset: Dataset) -> dict[str, tuple[int, str]]:
    return {drop.reason: (drop.count, drop.unit) for drop in dataset.dropped}


def _worked(run: Any) -> Any:
    return run.call("act", tool=("calculator", {"expression": "4 + 3"})).step("calculator", "7")


def test_failed_and_inexact_calls_are_left_out_and_the_rest_carries_the_run(
    new_run: Make, fingerprint: Fingerprint
) -> None:
    run = new_run().call("plan", reply=None, error="boom", tokens=None).call("plan", "Calculate.", tokens=None)
    dataset, kept = _curated(_worked(run).call("synthesize", "7"), fingerprint)
    assert kept == ["t1.call2", "t1.call3"]
    assert [example.weight for example in dataset.examples] == [0.5, 0.5]
    assert _dropped(dataset) == {"failed_call": (1, "calls"), "inexact": (1, "calls")}


@pytest.mark.parametrize("part", ["base", "tokenizer", "template"])
def test_ids_of_another_base_are_left_out(part: str, new_run: Make, fingerprint: Fingerprint) -> None:
    other = fingerprint.model_copy(update={part: "0" * 64})
    dataset = curate(
        [_worked(new_run().call("plan", "Calculate.")).rolled("7", 1.0)], held_out=(), fingerprint=other, settings=_ALL
    )
    assert dataset.examples == ()
    assert _dropped(dataset) == {"other_base": (2, "calls"), "nothing_left": (1, "traces")}


def test_ids_sampled_by_an_adapter_of_the_base_are_kept(new_run: Make, fingerprint: Fingerprint) -> None:
    adapted = fingerprint.model_copy(update={"adapter": "a" * 64})
    dataset = curate([_worked(new_run()).rolled("7", 1.0)], held_out=(), fingerprint=adapted, settings=_ALL)
    assert len(dataset.examples) == 1


def test_a_reply_that_was_asked_for_again_is_left_out(new_run: Make, fingerprint: Fingerprint) -> None:
    def key(index: int) -> CallKey:
        return CallKey(run_id="t1", task_id="task_of_plan", index=index)

    run = new_run().call("plan", "###", key=key(0)).call("plan", "Calculate.", key=key(1))
    dataset, kept = _curated(_worked(run), fingerprint)
    assert kept == ["t1.call1", "t1.call2"]
    assert _dropped(dataset) == {"unread": (1, "calls")}


def test_a_call_whose_tools_all_failed_is_left_out(new_run: Make, fingerprint: Fingerprint) -> None:
    run = new_run().call("act", tool=("calculator", {"expression": "4 +"})).step("calculator", "error", failed=True)
    run = run.call("act", tool=("calculator", {"expression": "4"})).step("calculator", "x", failed=True)
    run = run.step("calculator", "7")
    dataset, kept = _curated(run, fingerprint)
    assert kept == ["t1.call1"]
    assert _dropped(dataset) == {"failed_tool": (1, "calls")}


def test_what_a_revision_did_again_is_left_out(new_run: Make, fingerprint: Fingerprint) -> None:
    run = new_run().call("plan", "Guess.").call("select_strategy", "direct").call("act", "8.").call("synthesize", "8")
    run = run.call("self_check", "no").revise().call("plan", "Calculate.")
    run = _worked(run).call("synthesize", "7").call("self_check", "yes")
    dataset, kept = _curated(run, fingerprint)
    # The strategy was kept by the revision, and rejecting the first answer was right.
    assert kept == ["t1.call1", "t1.call4", "t1.call5", "t1.call6", "t1.call7", "t1.call8"]
    assert _dropped(dataset) == {"revised_away": (3, "calls")}


def test_a_revision_of_the_work_alone_keeps_the_plan(new_run: Make, fingerprint: Fingerprint) -> None:
    run = new_run().call("plan", "Calculate.").call("act", "8.").call("self_check", "no").revise()
    _, kept = _curated(_worked(run), fingerprint)
    assert kept == ["t1.call0", "t1.call2", "t1.call3"]
