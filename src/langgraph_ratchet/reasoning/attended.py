"""Streams a run that somebody attends: when a tool asks for approval, they are asked, and the run goes on.

The graph must be compiled with a checkpointer, since a run that waits is one that was interrupted and is resumed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Interrupt

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.reasoning.context import Context

_INTERRUPT = "__interrupt__"
"""Under which LangGraph streams what a run waits for."""
_MODES = ["updates", "values"]

Decision = dict[str, Any]
"""LangChain's: `{"type": "approve"}`, `{"type": "edit", "edited_action": {"name", "args"}}` or `{"type": "reject",
"message"}`."""


@dataclass(frozen=True)
class Proposal:
    """A tool call that waits for a decision."""

    name: str
    args: Mapping[str, Any]
    description: str
    """Why it is asked for."""
    allowed: tuple[str, ...]
    """The types of decision that may be made."""


Decide = Callable[[Proposal], Decision]
ADecide = Callable[[Proposal], Awaitable[Decision]]


def approve() -> Decision:
    """The call is made as it stands."""
    return {"type": "approve"}


def edit(proposal: Proposal, args: Mapping[str, Any]) -> Decision:
    """The call is made with these arguments instead."""
    return {"type": "edit", "edited_action": {"name": proposal.name, "args": dict(args)}}


def reject(reason: str) -> Decision:
    """The call is not made, and the model is told why."""
    return {"type": "reject", "message": reason}


# Two thin forms of one loop, which differ only in how they wait.


def stream_attended(
    graph: Any, given: Any, decide: Decide, *, config: RunnableConfig, context: Context
) -> Iterator[tuple[str, Any]]:
    """`graph.stream` with the modes `updates` and `values`, over all interruptions of the run.

    Raises:
        BadInputError: the run waits for something else than a decision about a tool call.
    """
    while given is not None:
        waiting: Sequence[Interrupt] = ()
        for mode, chunk in graph.stream(given, config, context=context, stream_mode=_MODES):
            if _INTERRUPT in chunk:
                waiting = chunk[_INTERRUPT]
            else:
                yield mode, chunk
        decisions = {each.id: [decide(proposal) for proposal in _proposals(each)] for each in waiting}
        given = _resumption(decisions)


async def astream_attended(
    graph: Any, given: Any, decide: ADecide, *, config: RunnableConfig, context: Context
) -> AsyncIterator[tuple[str, Any]]:
    """`stream_attended` for async callers."""
    while given is not None:
        waiting: Sequence[Interrupt] = ()
        async for mode, chunk in graph.astream(given, config, context=context, stream_mode=_MODES):
            if _INTERRUPT in chunk:
                waiting = chunk[_INTERRUPT]
            else:
                yield mode, chunk
        decisions = {each.id: [await decide(proposal) for proposal in _proposals(each)] for each in waiting}
        given = _resumption(decisions)


def _proposals(interrupt: Interrupt) -> list[Proposal]:
    """The calls that an interrupt in LangChain's human-in-the-loop shape asks about."""
    try:
        allowed = {each["action_name"]: tuple(each["allowed_decisions"]) for each in interrupt.value["review_configs"]}
        return [
            Proposal(each["name"], each["args"], each.get("description", ""), allowed[each["name"]])
            for each in interrupt.value["action_requests"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"the run waits for an answer to {interrupt.value!r:.200}, which is no tool call to approve: only a "
            "program of yours that knows what is asked can resume it"
        ) from error


def _resumption(decisions: Mapping[str, list[Decision]]) -> Command[Any] | None:
    """What the run goes on with; `None` when it waits for nothing."""
    if not decisions:
        return None
    return Command(resume={id_: {"decisions": made} for id_, made in decisions.items()})
