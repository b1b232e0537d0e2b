"""Ratchet: a reasoning graph whose model gets better, and never worse by luck.

Names are imported on first use, so that `import langgraph_ratchet` stays as light as LangGraph itself.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Checkpoints then rebuild only the types that a graph declares, instead of calling whatever a stored record names.
# LangGraph reads this once, on its own first import: import this package first, or set the variable yourself.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
    from langgraph_ratchet.chat_models.resolver import resolve_model
    from langgraph_ratchet.core.answer_key import AnswerKey
    from langgraph_ratchet.core.problem import Problem
    from langgraph_ratchet.core.question import Question
    from langgraph_ratchet.core.trace import Trace
    from langgraph_ratchet.improvement.graph import create_improver
    from langgraph_ratchet.reasoning.graph import create_reasoner
    from langgraph_ratchet.tools import get_tools
    from langgraph_ratchet.traces.store import TraceStore

    __version__: str

__all__ = [
    "AnswerKey",
    "ChatTransformers",
    "Problem",
    "Question",
    "Trace",
    "TraceStore",
    "__version__",
    "create_improver",
    "create_reasoner",
    "get_tools",
    "resolve_model",
]

_HOMES = {
    "AnswerKey": "core.answer_key",
    "ChatTransformers": "chat_models.chat_transformers",
    "Problem": "core.problem",
    "Question": "core.question",
    "Trace": "core.trace",
    "TraceStore": "traces.store",
    "create_improver": "improvement.graph",
    "create_reasoner": "reasoning.graph",
    "get_tools": "tools",
    "resolve_model": "chat_models.resolver",
}
"""Public name to the module under this package that defines it."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Read when asked: importlib.metadata alone takes longer to import than the rest of this file.
        from importlib.metadata import version

        value: Any = version("langgraph-ratchet")
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
