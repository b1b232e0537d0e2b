"""The self-check sends a run back, and what it says is used."""

from typing import Any

from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import Budgets


def twice(lines: Any, verdict: str = "no, it is a sum.") -> list[Any]:
    """A run whose first answer is rejected."""
    return [*lines(synthesize="12", self_check=verdict), *lines(select_strategy=[])]


def test_a_rejected_answer_is_revised(reason: Any, lines: Any) -> None:
    ran = reason(twice(lines))
    assert (ran.trace.answer, ran.trace.outcome, ran.trace.revisions) == ("78", Outcome.ANSWERED, 1)
    assert ran.out["revisions"] == 1
    # A new plan with the reason, the strategy kept, and everything after it anew.
    assert [(call.node, call.revision) for call in ran.trace.calls] == [
        ("plan", 0),
        ("select_strategy", 0),
        ("act", 0),
        ("act", 0),
        ("synthesize", 0),
        ("self_check", 0),
        ("plan", 1),
        ("act", 1),
        ("act", 1),
        ("synthesize", 1),
        ("self_check", 1),
    ]
    assert "An earlier answer was rejected: 12 (it is a sum.)" in ran.asked(6)
    assert len(ran.model.asked[7]) == 2  # the conversation under the old plan is forgotten
    assert [step.number for step in ran.trace.steps] == [1, 2]
    assert ran.asked(9).count("calculator(45 + 33)") == 1  # the work under the new plan only


def test_without_a_reason_the_answer_alone_is_shown(reason: Any, lines: Any) -> None:
    ran = reason(twice(lines, "No."))
    assert ran.asked(6).endswith("An earlier answer was rejected: 12")


def test_a_second_rejection_does_the_work_again_under_the_same_plan(reason: Any, lines: Any) -> None:
    first, again = lines(synthesize="12", self_check="no"), lines(select_strategy=[], synthesize="13", self_check="no")
    ran = reason([*first, *again, *lines(plan=[], select_strategy=[])], budgets=Budgets(revisions=2))
    assert (ran.trace.answer, ran.trace.revisions) == ("78", 2)
    assert [call.node for call in ran.trace.calls if call.revision == 2] == ["act", "act", "synthesize", "self_check"]
    told = ran.model.asked[11]
    assert told[-1].content == "An earlier answer was rejected: 13. Do the work again."
    assert len(told) > 3  # the conversation goes on


def test_with_no_revisions_left_the_answer_stands(reason: Any, lines: Any) -> None:
    ran = reason([*twice(lines)[:-1], "no"])
    assert (ran.trace.answer, ran.trace.outcome, ran.trace.revisions) == ("78", Outcome.ANSWERED, 1)
    ran = reason(lines(self_check="no"), budgets=Budgets(revisions=0))
    assert (ran.trace.answer, ran.trace.revisions) == ("78", 0)


def test_a_run_that_ends_while_it_is_revised_has_no_answer(reason: Any, lines: Any) -> None:
    ran = reason([*twice(lines)[:7], ValueError("gone")])
    assert (ran.trace.answer, ran.trace.outcome, ran.trace.revisions) == (None, Outcome.MODEL_FAILED, 1)
