"""What a node asks for while it runs.

A node's body is a generator: it yields requests and is sent the answers. So one body serves sync and async, and the
body itself touches no model, no tool and no store.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.tool import ToolCall

from langgraph_ratchet.core.step import Approval
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import RunEnded
from langgraph_ratchet.tools.runner import ToolResult

T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """A model's reply and the call that it was recorded as."""

    message: AIMessage
    """Without token ids: those are in the recorded call."""
    call_id: str
    first_logprob: float | None
    """Log-probability of the reply's first token; `None` when the model does not give it."""

    @property
    def text(self) -> str:
        """The reply's text, stripped."""
        return str(self.message.text).strip()


@dataclass(frozen=True)
class Ask:
    """Ask the chat model. Answered with a `Reply`."""

    messages: list[BaseMessage]
    with_tools: bool = False


@dataclass(frozen=True)
class UseTool:
    """Call a tool, if the call may be made. Answered with `Used`."""

    call: ToolCall


@dataclass(frozen=True)
class Used:
    """What came of a tool call."""

    call: ToolCall
    """As it was made, or would have been."""
    result: ToolResult
    approval: Approval | None
    """`None` for a call that did not have to be approved."""


Update = dict[str, Any]
Request = Ask | UseTool
Body = Generator[Request, Any, Update]
"""What a node's function returns."""


def ask(messages: list[BaseMessage], *, with_tools: bool = False) -> Generator[Request, Reply, Reply]:
    """`yield from` this to ask the model."""
    return (yield Ask(messages, with_tools))


def use_tool(call: ToolCall) -> Generator[Request, Used, Used]:
    """`yield from` this to call a tool."""
    return (yield UseTool(call))


def ask_readable(
    messages: list[BaseMessage],
    read: Callable[[Reply], T | None],
    wanted: str,
    *,
    attempts: int,
    with_tools: bool = False,
) -> Generator[Request, Reply, tuple[Reply, T]]:
    """Ask until `read` can read the reply, feeding back what was wrong.

    Args:
        messages: the conversation to start from; it is not changed.
        read: gives what the reply says, or `None` when it cannot be read.
        wanted: what a readable reply is, as a sentence to the model.
        attempts: replies that may be unreadable before the run ends with `malformed_reply`.
        with_tools: whether tools are offered.
    """
    conversation = list(messages)
    for _ in range(attempts):
        reply = yield from ask(conversation, with_tools=with_tools)
        value = read(reply)
        if value is not None:
            return reply, value
        conversation += [AIMessage(reply.text or "(empty)"), HumanMessage(f"That could not be read. {wanted}")]
    raise RunEnded(Outcome.MALFORMED_REPLY, f"{attempts} replies could not be read. Wanted: {wanted}")
