"""Asks a person before a promotion, unless the settings say what to do.

It has no side effect: a resumed interrupt runs its node from the top.
"""

from typing import Any

from langgraph.types import interrupt

from langgraph_ratchet.core.decision import Decision, Verdict
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.improvement.approval import FORM, Approval, read_answer
from langgraph_ratchet.improvement.measuring import further_seed, held_out_sets
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState

_POLICY = {"auto": "promote", "never": "reject"}


def approve(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Nothing that the gate has not passed can be approved; an answer that cannot be used is asked for again."""
    decision = Decision.model_validate(state["decision"])
    policy = services.promotion or state["promotion"]
    # Who has asked for more problems is asked again, also when they left the gate undecided.
    undecided = bool(state.get("more")) and decision.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    if decision.verdict is not Verdict.PROMOTE and not undecided:
        return _settled(state, Approval(verdict="reject", by="the gate", reason=decision.verdict.value))
    if policy in _POLICY:
        reason = f"the setting promotion is {policy!r}"
        return _settled(state, Approval.model_validate({"verdict": _POLICY[policy], "by": "setting", "reason": reason}))
    fault = None
    while True:
        answer = interrupt(_question(decision, fault), response_schema=FORM)
        try:
            approval = read_answer(answer)
            if approval.verdict == "promote" and decision.verdict is not Verdict.PROMOTE:
                raise BadInputError("the gate has not passed it: reject it, or ask for more problems")
            update = _settled(state, approval)
            if approval.verdict == "more_problems":
                held_out_sets({**state, "more": update["more"]})  # whether there are so many
        except BadInputError as error:
            fault = str(error)
        else:
            return update


def _question(decision: Decision, fault: str | None) -> dict[str, Any]:
    undecided = decision.verdict is not Verdict.PROMOTE
    return {
        "question": "Not enough evidence: ask for more problems?" if undecided else "Promote the candidate?",
        "error": fault,
        "decision": decision.model_dump(mode="json"),
    }


def _settled(state: ImprovementState, approval: Approval) -> Update:
    more = list(state.get("more") or [])
    if approval.verdict == "more_problems":
        more.append({"count": approval.count, "seed": further_seed(state)})
    return {
        "approval": approval.model_dump(mode="json"),
        "approved": approval.verdict == "promote",
        "more": more,
    }
