"""Whether a tool call may be made: what acts asks a person first, by an interrupt in LangChain's form.

A tool that writes or executes asks, unless the graph's builder allows it; once the run has read other people's text it
asks in any case, and so does a call to a place that the model made up (`reasoning.targets`). This does not tell good
texts from bad ones: what a text can bring about is the same either way.
"""

from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.constants import CONFIG_KEY_CHECKPOINTER
from langgraph.types import interrupt

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import clean_json, clean_text
from langgraph_ratchet.core.step import Approval, Trust
from langgraph_ratchet.reasoning.decisions import FORM, Approve, Reject, read_decision
from langgraph_ratchet.reasoning.reruns import is_rerun
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.targets import made_up_targets
from langgraph_ratchet.tools.runner import ToolResult, faults_in
from langgraph_ratchet.tools.spec import Effect, is_declared, spec_of

_ACTING = {Effect.WRITES: "can change what outlives the run", Effect.EXECUTES: "runs code"}
NOT_KEPT = "ratchet_not_kept"
"""Set in the configuration of a graph that was compiled to do without a checkpointer, its parent's too."""
_UNUSABLE = 10
"""Answers to one question that may be unusable: a program that always gives the same one must not go on for ever."""


@dataclass(frozen=True)
class Ruling:
    """What may become of a tool call."""

    call: ToolCall
    """As it may be made."""
    approval: Approval | None = None
    """`None` for a call that does not have to be approved."""
    refusal: ToolResult | None = None
    """The call's result when it may not be made."""


def has_read_untrusted(state: ReasoningState) -> bool:
    """Whether the model has seen other people's text in this run."""
    # A memory that does not say whose its texts are is not trusted.
    return bool(state.get("untrusted") or state.get("recalled_untrusted", state.get("recalled")))


def rule(tool: BaseTool, call: ToolCall, state: ReasoningState, services: Services) -> Ruling:
    """Lets a call pass, or asks about it and waits.

    An answer that cannot be used is asked for again, with what is wrong with it.

    Raises:
        GraphInterrupt: it asks; the node runs again when the run is resumed.
    """
    reasons = _reasons(tool, call, state, services)
    if not reasons:
        return Ruling(call)
    if not _can_ask():
        return Ruling(call, Approval.REFUSED, _refused(_nobody(tool, has_read_untrusted(state))))
    fault = ""
    for _ in range(_UNUSABLE):
        answer = interrupt(_question(call, " ".join([fault, *reasons]).strip()), response_schema=FORM)
        try:
            return _ruling(answer, tool, call)
        except BadInputError as error:
            fault = f"The last decision could not be used: {error}."
    return Ruling(call, Approval.REFUSED, _refused(f"{tool.name} was not called: no decision about it could be used"))


def _reasons(tool: BaseTool, call: ToolCall, state: ReasoningState, services: Services) -> list[str]:
    """Why the call has to be approved, as sentences to a person; empty when it need not be."""
    spec, untrusted = spec_of(tool), has_read_untrusted(state)
    reasons: list[str] = []
    if untrusted or tool.name not in services.allow:
        reasons += [f"{tool.name} {does}." for effect, does in _ACTING.items() if effect in spec.effects]
        if reasons and not is_declared(tool):
            reasons = [f"{tool.name} declares no effects, so it may do anything."]
    if untrusted:
        reasons += [
            f"{tool.name} would go to {place!r}, which neither the question nor what the run has read names."
            for place in made_up_targets(spec.targets, call, state)
        ]
    if untrusted and reasons:
        reasons.append("The run has read other people's text, which this call may be obeying.")
    return reasons


def _can_ask() -> bool:
    """Without a checkpointer a run that waits is lost, and where runs are made again nobody is there to answer."""
    config = get_config()["configurable"]
    kept = config.get(CONFIG_KEY_CHECKPOINTER) is not None and not config.get(NOT_KEPT)
    return kept and not is_rerun()


def _nobody(tool: BaseTool, untrusted: bool) -> str:
    ways = ["compile the graph with a checkpointer and resume it with a decision"]
    if not untrusted:
        ways.append(f"create it with allow=[{tool.name!r}]")
    if not is_declared(tool):
        ways.append("declare(tool, effects=...) what the tool does")
    return f"{tool.name} was not called: it needs an approval, and nobody can be asked. To let it act: " + "; or ".join(
        ways
    )


def _refused(reason: str) -> ToolResult:
    """Whole, however long: it may be a person's."""
    text = " ".join(clean_text(reason).split())
    return ToolResult(text=f"error: {text}", failed=True, seconds=0.0, trust=Trust.OWN)


def _question(call: ToolCall, description: str) -> dict[str, Any]:
    return {
        "action_requests": [{"name": call["name"], "args": call["args"], "description": description}],
        "review_configs": [{"action_name": call["name"], "allowed_decisions": ["approve", "edit", "reject"]}],
    }


def _ruling(answer: Any, tool: BaseTool, call: ToolCall) -> Ruling:
    """What a person decided. Raises `BadInputError` for an answer that is no decision about this call."""
    decision = read_decision(answer)
    match decision:
        case Approve():
            return Ruling(call, Approval.APPROVED)
        case Reject():
            reason = f": {decision.message}" if decision.message else "; do not call it again unless asked to"
            return Ruling(call, Approval.REJECTED, _refused(f"the user rejected this call of {tool.name}{reason}"))
    action = decision.edited_action
    if action.name != call["name"]:
        raise BadInputError(f"edited_action.name is {action.name!r}; the call is of {call['name']}, which stays")
    edited = ToolCall(name=call["name"], args=clean_json(action.args), id=call["id"])
    if (fault_in_args := faults_in(tool, edited)) is not None:
        raise BadInputError(fault_in_args)
    return Ruling(edited, Approval.EDITED)
