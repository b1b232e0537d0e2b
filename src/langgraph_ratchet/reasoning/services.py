"""The live objects that the nodes use, bound when the graph is built."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from langgraph_ratchet.core.question import Question
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.strategy import Strategy
from langgraph_ratchet.traces.recorder import Recorder

ChatRunnable = Runnable[LanguageModelInput, AIMessage]

Memory = Callable[[Question], Sequence[str]]
"""Gives texts that may help with a question, best first. They are treated as untrusted."""


@dataclass(frozen=True)
class Services:
    """Everything that does not belong in state or context."""

    model: ChatRunnable
    """Without tools: for every node but `act`."""
    acting_model: ChatRunnable
    """With the tools bound."""
    model_name: str
    tools: Mapping[str, BaseTool]
    offered: tuple[dict[str, object], ...]
    """The tools in OpenAI's shape, as the acting model was given them."""
    strategies: Mapping[str, Strategy]
    budgets: Budgets
    recorder: Recorder
    memory: Memory | None
    code_version: str
