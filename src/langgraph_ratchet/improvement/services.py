"""The live objects that the nodes use, bound when the graph is built."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from langchain_core.tools import BaseTool

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.rollouts import Reasoner
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

ModelFactory = Callable[[str | None], ChatTransformers]
"""Gives the chat model with an adapter of the registry; `None` is the bare base."""


@dataclass(frozen=True)
class Services:
    """Everything that does not belong in state."""

    model: ModelFactory
    tools: tuple[BaseTool, ...]
    store: TraceStore
    registry: Registry
    folder: Path
    budgets: Budgets
    rolled_out: dict[str, list[tuple[Problem, Trace]]] = field(default_factory=dict)
    """Rollouts by the hash of their measurement, so that the nodes of one round read them from the store once."""

    @cached_property
    def base_name(self) -> str:
        """Name of the bare base: what training starts from."""
        return self.model(None).model

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Of the bare base; loads it."""
        return self.model(None).base.fingerprint

    def reasoner(self, version: str | None) -> Reasoner:
        """A compiled reasoning graph on the base with the adapter `version`, recording into the store."""
        graph = create_reasoner(self.model(version), self.tools, store=self.store, budgets=self.budgets)
        return graph.compile()

    def round_folder(self, state: ImprovementState) -> Path:
        """Where the files of the current round lie; made if needed."""
        folder = self.folder.resolve() / "improve" / state["run_id"] / f"round-{state['round']}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def candidate(self, state: ImprovementState) -> ModelVersion:
        """The version that this round trained."""
        if not state.get("candidate"):
            raise BadInputError("this round has trained no candidate")
        return self.registry.get(str(state["candidate"]))


def write(path: Path, noun: Stored) -> str:
    """Writes a noun whole or not at all, and returns the path as state holds it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(noun.model_dump_json(), encoding="utf-8")
    partial.replace(path)
    return str(path)
