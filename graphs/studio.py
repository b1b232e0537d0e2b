"""Durable threads for LangGraph Studio: the checkpointer and the app that langgraph.json names."""

from langgraph_ratchet.serving.studio import app, checkpointer

__all__ = ["app", "checkpointer"]
