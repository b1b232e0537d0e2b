"""Constrained output: tool calls and JSON that are valid and whole within `max_tokens`, whatever the model prefers.

The grammar library is llguidance: 8 MB without dependencies, releases every few weeks, and a grammar of ten tools
compiles in milliseconds. xgrammar needs triton (1 GB); outlines-core takes seconds to compile and rests since January.
"""

from langgraph_ratchet.core.errors import MissingExtraError

try:
    from langgraph_ratchet.chat_models.constrained.plans import constrain_json, constrain_tools
except ModuleNotFoundError as error:
    if error.name not in ("jinja2", "llguidance", "numpy", "torch"):
        raise
    raise MissingExtraError("tool_choice, structured output and response_format", "local") from error

__all__ = ["constrain_json", "constrain_tools"]
