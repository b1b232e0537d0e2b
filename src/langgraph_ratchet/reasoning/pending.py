"""Which tool calls of the last reply are still to be made, and what the model wrote where a person changed them."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

from langgraph_ratchet.reasoning.state import ReasoningState


def unanswered(transcript: Sequence[AnyMessage]) -> list[ToolCall]:
    """The calls of the last reply that no tool has answered yet, in order.

    Told by place: the ids of a reply's calls are the model's own, and may be missing or equal.
    """
    for answered, message in enumerate(reversed(transcript)):
        if isinstance(message, AIMessage):
            return message.tool_calls[answered:]
        if not isinstance(message, ToolMessage):
            break
    return []


def changed_from(state: ReasoningState, call: ToolCall, place: int) -> dict[str, Any] | None:
    """The arguments that the model wrote for `call`, if a person has changed them; `None` if they are the same.

    Args:
        state: of the run.
        call: as it was made.
        place: of the call among those of its reply, from 0.
    """
    proposed = state.get("proposed", [])
    same_id = [each for each in proposed if each["id"] == call["id"]]
    if len(same_id) != 1:
        same_id = proposed[place : place + 1]
    arguments: dict[str, Any] | None = same_id[0]["args"] if same_id else None
    return None if arguments == call["args"] else arguments
