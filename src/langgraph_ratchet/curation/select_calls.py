"""Which calls of a trace to learn from: those that the answer came from, token for token, on this base."""

from collections import Counter
from collections.abc import Callable

from langgraph_ratchet.core.call import Call, Fingerprint
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.curation.drops import Reason
from langgraph_ratchet.curation.rolled import Rolled
from langgraph_ratchet.curation.untrusted import repeating_calls

_JUDGES_THE_WORK = "self_check"
"""The node whose call on an earlier revision stays good: rejecting it is what led to the right answer."""


def selected(
    rolled: Rolled, reason_against: Callable[[Call], Reason | None], drops: Counter[Reason]
) -> tuple[Call, ...]:
    """The run's calls that nothing speaks against; the others are counted in `drops`.

    A call that repeats other people's text is left out whatever `reason_against` says.
    """
    repeating = repeating_calls(rolled)
    left = []
    for call in rolled.trace.calls:
        reason = reason_against(call)
        if reason is None and call.id in repeating:
            reason = Reason.UNTRUSTED
        if reason is None:
            left.append(call)
        else:
            drops[reason] += 1
    return tuple(left)


def reason_against(call: Call, trace: Trace, *, fingerprint: Fingerprint) -> Reason | None:
    """Why a call of a verified trace is not learned from; `None` if it is."""
    if (unlearnable := reason_unlearnable(call, fingerprint=fingerprint)) is not None:
        return unlearnable
    if _was_asked_again(call, trace):
        return Reason.UNREAD
    if _led_to_failure_only(call, trace):
        return Reason.FAILED_TOOL
    return Reason.REVISED_AWAY if _was_done_again(call, trace) else None


def reason_unlearnable(call: Call, *, fingerprint: Fingerprint) -> Reason | None:
    """Why no one could learn from a call, whatever came of its run; `None` if one could."""
    if call.reply is None or call.error is not None:
        return Reason.FAILED_CALL
    if call.tokens is None or not call.tokens.completion_ids:
        return Reason.INEXACT
    return None if call.tokens.fingerprint.same_base(fingerprint) else Reason.OTHER_BASE


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
