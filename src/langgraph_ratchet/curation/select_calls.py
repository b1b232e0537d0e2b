"""Which calls of a trace to learn from: those that the answer came from, token for token, on this base."""

from langgraph_ratchet.core.call import Call, Fingerprint
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.curation.drops import Reason

_JUDGES_THE_WORK = "self_check"
"""The node whose call on an earlier revision stays good: rejecting it is what led to the right answer."""


def reason_against(call: Call, trace: Trace, *, fingerprint: Fingerprint) -> Reason | None:
    """Why a call of a verified trace is not learned from; `None` if it is."""
    if call.reply is None or call.error is not None:
        return Reason.FAILED_CALL
    if call.tokens is None or not call.tokens.completion_ids:
        return Reason.INEXACT
    if not call.tokens.fingerprint.same_base(fingerprint):
        return Reason.OTHER_BASE
    if _was_asked_again(call, trace):
        return Reason.UNREAD
    if _led_to_failure_only(call, trace):
        return Reason.FAILED_TOOL
    return Reason.REVISED_AWAY if _was_done_again(call, trace) else None


def _was_asked_again(call: Call, trace: Trace) -> bool:
    """A node execution takes one reply; it asks again only when it could not read the one it got."""
    return any(
        other.key.task_id == call.key.task_id and other.node == call.node and other.key.index > call.key.index
        for other in trace.calls
    )


def _led_to_failure_only(call: Call, trace: Trace) -> bool:
    steps = [step for step in trace.steps if step.call_id == call.id and step.tool is not None]
    return bool(steps) and all(step.failed for step in steps)


def _was_done_again(call: Call, trace: Trace) -> bool:
    """Whether a later revision ran the same node.

    A revision may go back to the work only, or keep the strategy: what it did not do again still led to the answer.
    """
    if call.node == _JUDGES_THE_WORK:
        return False
    return any(other.node == call.node and other.revision > call.revision for other in trace.calls)
