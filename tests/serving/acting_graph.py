"""A graph for `langgraph dev` whose model writes two files, one call after the other, in one reply."""

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_ratchet import create_reasoner, get_tools
from langgraph_ratchet.chat_models.scripted import PolicyChatModel

CALLS = [{"name": "write_file", "args": {"path": f"{name}.txt", "text": name}, "id": name} for name in ("one", "two")]


def policy(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
    """Knows its line by whether it is offered tools, and has used them."""
    if not kwargs.get("tools"):
        return AIMessage("yes direct\n1. Write the files.")
    return AIMessage("It is done.") if messages[-1].type == "tool" else AIMessage("", tool_calls=CALLS)


graph = create_reasoner(PolicyChatModel(policy=policy), get_tools("write_file")).compile(name="acting")
