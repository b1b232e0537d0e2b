"""A process that serves on stdin and stdout, and does all that a server must not: it prints, and its children read."""

import os
import subprocess
import sys
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_ratchet import create_reasoner
from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.serving.mcp.reason import Runs, reason_offer
from langgraph_ratchet.serving.mcp.server import create_mcp_server
from langgraph_ratchet.serving.mcp.stdio import claim_pipes, serve_stdio

LINES = iter(("1. Look.", "direct", "It is", "It is", "yes"))


def noisy(_messages: list[BaseMessage], _kwargs: dict[str, Any]) -> AIMessage:
    """Prints in every way there is, and says how many bytes a child could read from stdin."""
    print("PRINTED")
    os.write(1, b"WRITTEN\n")
    subprocess.run([sys.executable, "-c", "print('A CHILD PRINTED')"], check=True)
    read = subprocess.run(["cat"], capture_output=True, check=True).stdout
    line = next(LINES)
    return AIMessage(f"{line} {len(read)} bytes, größer \ud800" if line == "It is" else line)


def serve() -> None:
    """Until stdin ends."""
    pipes = claim_pipes()
    runs = Runs(lambda: create_reasoner(PolicyChatModel(policy=noisy), store=None))
    serve_stdio(create_mcp_server([reason_offer(runs)]), pipes)


if __name__ == "__main__":
    serve()
