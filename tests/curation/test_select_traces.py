"""Which traces are learned from; each that is not is counted under one reason."""

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.core.problem import Split
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.curation import CurationSettings, Rolled, curate

Make = Callable[..., Any]

_ALL = CurationSettings(mixed_only=False, max_type_share=1, max_node_share=1)


def _dropped(dataset: Dataset) -> dict[str, tuple[int, str]]:
    return {drop.reason: (drop.count, drop.unit) for drop in dataset.dropped}


def test_a_right_run_becomes_one_example_per_call(solved: Make, fingerprint: Fingerprint) -> None:
    item = solved()
    dataset = curate([item], held_out=(), fingerprint=fingerprint, settings=_ALL)
    assert dataset.dropped == ()
    assert [example.node for example in dataset.examples] == ["plan", "act", "act", "synthesize"]
    for example, call in zip(dataset.examples, item.trace.calls, strict=True):
        assert example.input_ids == call.tokens.prompt_ids + call.tokens.completion_ids
        assert example.loss_mask == (0,) * len(call.tokens.prompt_ids) + (1,) * len(call.tokens.completion_ids)
        assert (example.trace_id, example.call_id) == (item.trace.id, call.id)
        assert (example.question_type, example.source) == ("mathematical", "procedural")
        assert (example.verified, example.quality) == (True, None)
        assert example.weight == 0.25
    assert dataset.fingerprint == fingerprint


def test_wrong_unjudged_and_unanswered_runs_are_left_out(new_run: Make, solved: Make, fingerprint: Fingerprint) -> None:
    out_of_steps = new_run(trace_id="t3").call("plan", "Think.").rolled(None, 0.0, outcome=Outcome.OUT_OF_STEPS)
    rolled = [solved(score=0.0), solved(trace_id="t2", score=None), out_of_steps]
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint, settings=_ALL)
    assert dataset.examples == ()
    expected = {"not_judged": (1, "traces"), "not_answered": (1, "traces"), "wrong_answer": (1, "traces")}
    assert _dropped(dataset) == expected


@pytest.mark.parametrize("how", ["by id", "by split"])
def test_what_is_measured_on_is_never_learned_from(
    how: str, solved: Make, new_problem: Make, fingerprint: Fingerprint
) -> None:
    problem = new_problem(split=Split.HELD_OUT if how == "by split" else Split.TRAIN)
    held_out = {problem.id} if how == "by id" else set()
    other = new_problem("What is 5 + 3?", "8")
    rolled = [solved(problem), solved(problem, "t2", score=0.0), solved(other, "t3")]
    dataset = curate(rolled, held_out=held_out, fingerprint=fingerprint, settings=_ALL)
    assert {example.trace_id for example in dataset.examples} == {"t3"}
    assert _dropped(dataset) == {"held_out": (2, "traces")}
    assert dataset.decontamination == {
        "method": "question id",
        "held_out_questions": len(held_out),
        "excluded_traces": 2,
    }


def test_only_problems_with_mixed_outcomes_teach(solved: Make, new_problem: Make, fingerprint: Fingerprint) -> None:
    always, never, mixed, once = (new_problem(f"What is {number} + 3?", "7") for number in range(4))
    rolled = [
        *(solved(always, f"a{number}") for number in range(4)),
        *(solved(never, f"n{number}", score=0.0) for number in range(4)),
        *(solved(mixed, f"m{number}", score=float(number == 0)) for number in range(4)),
        solved(once, "o0"),
        solved(once, "o1", score=None),
    ]
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint)
    # With one judged run it is not known whether another would have failed.
    assert {example.trace_id for example in dataset.examples} == {"m0", "o0"}
    assert _dropped(dataset) == {
        "not_judged": (1, "traces"),
        "uniform_outcome": (8, "traces"),
        "wrong_answer": (3, "traces"),
    }


def test_an_unanswered_run_makes_a_problem_mixed(new_run: Make, solved: Make, fingerprint: Fingerprint) -> None:
    out_of_time = new_run(trace_id="t2").call("plan", "Think.").rolled(None, 0.0, outcome=Outcome.OUT_OF_TIME)
    dataset = curate([solved(), out_of_time], held_out=(), fingerprint=fingerprint)
    assert {example.trace_id for example in dataset.examples} == {"t1"}
    assert _dropped(dataset) == {"not_answered": (1, "traces")}


def test_a_right_answer_without_the_tools_it_takes_was_lucky(
    new_run: Make, new_problem: Make, fingerprint: Fingerprint
) -> None:
    def run(trace_id: str) -> Any:
        return new_run(trace_id=trace_id).call("plan", f"{trace_id}.")

    without = run("t1").call("synthesize", "7")
    other = run("t2").call("act", tool=("clock", {"a": 1})).step("clock", "7").call("synthesize", "7")
    failed = run("t3").call("act", tool=("calculator", {"a": 1})).step("calculator", "no", failed=True)
    used = run("t4").call("act", tool=("calculator", {"a": 1})).step("calculator", "7").call("synthesize", "7")
    free = new_run(new_problem("Guess.", "7", tools=()), "t5").call("plan", "t5.").call("synthesize", "7")
    rolled = [item.rolled("7", 1.0) for item in (without, other, failed, used, free)]
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint, settings=_ALL)
    assert {example.trace_id for example in dataset.examples} == {"t4", "t5"}
    assert _dropped(dataset) == {"lucky": (3, "traces")}


def test_traces_add_up(solved: Make, new_problem: Make, fingerprint: Fingerprint) -> None:
    problems = [new_problem(f"What is {number} + 3?", "7") for number in range(6)]
    rolled = [
        solved(problem, f"{number}.{run}", plan=f"Plan {run % 2}.", score=(None, 0.0, 1.0, 1.0)[(number + run) % 4])
        for number, problem in enumerate(problems)
        for run in range(5)
    ]
    dataset = curate(rolled, held_out={problems[0].id}, fingerprint=fingerprint)
    kept = len({example.trace_id for example in dataset.examples})
    assert kept > 0
    assert kept + sum(drop.count for drop in dataset.dropped if drop.unit == "traces") == len(rolled)


def test_no_runs_give_an_empty_dataset(fingerprint: Fingerprint) -> None:
    dataset = curate([], held_out=(), fingerprint=fingerprint)
    assert (dataset.examples, dataset.dropped) == ((), ())


def test_parts_that_do_not_belong_together_are_refused(solved: Make, new_problem: Make) -> None:
    item, other = solved(), solved(trace_id="t2")
    with pytest.raises(BadInputError, match="answers"):
        Rolled(new_problem("Another?", "7"), item.trace, item.grade)
    with pytest.raises(BadInputError, match="grade is of trace t2"):
        Rolled(item.problem, item.trace, other.grade)
