"""The engine that generates for all calls on one base: batches, keys and values, prefixes, sampling."""

from langgraph_ratchet.chat_models.engine.engine import Engine, engine_of
from langgraph_ratchet.chat_models.engine.request import Completion, Constraint, Request, Token

__all__ = ["Completion", "Constraint", "Engine", "Request", "Token", "engine_of"]
