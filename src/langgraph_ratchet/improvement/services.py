"""The live objects that the nodes use, bound when the graph is built."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from langchain_core.tools import BaseTool
from typing_extensions import TypedDict, Unpack

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError, DiskError
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.evaluation.gate import GateSettings
from langgraph_ratchet.improvement.state import ImprovementState, Promotion
from langgraph_ratchet.reasoning.budgets import UNTIMED, Budgets
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.rollouts import Reasoner
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.registry.files import replace_durably
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.replay import ToolReplay
from langgraph_ratchet.traces.store import TraceStore

ModelFactory = Callable[[str | None], ChatTransformers]
"""Gives the chat model with an adapter of the registry; `None` is the bare base."""


class Parts(TypedDict, total=False):
    """What an improvement graph works with, beside its model; what is not given is as the settings say."""

    tools: Sequence[BaseTool] | None
    """Tools to practise with; those that need no key and no network by default. Those that declare effects are not
    called: `replay` answers for them."""
    replay: ToolReplay | None
    """Answers for tools with effects, and may hold a simulator; by default what the store has recorded of them."""
    store: TraceStore | None
    """Where every rollout is recorded."""
    registry: Registry | None
    """Where model versions are kept."""
    folder: Path | None
    """Where datasets, jobs and reports are kept."""
    budgets: Budgets | None
    """Limits of each rollout; without a clock by default (`budgets.UNTIMED`)."""
    gate: GateSettings | None
    """What the gate requires; the rounds of a run share its error budget."""


@dataclass(frozen=True)
class Services:
    """Everything that does not belong in state."""

    model: ModelFactory
    tools: tuple[BaseTool, ...]
    store: TraceStore
    registry: Registry
    folder: Path
    budgets: Budgets
    gate: GateSettings = field(default_factory=GateSettings)
    replay: ToolReplay | None = None
    promotion: Promotion | None = None
    """Takes the place of what the run was told when it began; `None` leaves it."""
    admitted: set[str] = field(default_factory=set)
    """Runs whose manifest was compared with these services (`manifest.admit`)."""
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

    def reasoner(self, version: str | None, *, deterministic: bool = False) -> Reasoner:
        """A compiled reasoning graph on the base with the adapter `version`, recording into the store."""
        model = self.model(version)
        if deterministic:
            model = model.model_copy(update={"deterministic": True})
        return create_reasoner(model, self.tools, store=self.store, budgets=self.budgets).compile()

    def run_folder(self, run_id: str) -> Path:
        """Where the files of a run lie; made if needed."""
        return _made(self.folder.resolve() / "improve" / run_id)

    def round_folder(self, state: ImprovementState) -> Path:
        """Where the files of the current round lie; made if needed."""
        return _made(self.run_folder(state["run_id"]) / f"round-{state['round']}")

    def candidate(self, state: ImprovementState) -> ModelVersion:
        """The version that this round trained."""
        if not state.get("candidate"):
            raise BadInputError("this round has trained no candidate")
        return self.registry.get(str(state["candidate"]))


def make_services(model: str | ModelFactory | None = None, **parts: Unpack[Parts]) -> Services:
    """The live objects of an improvement graph, with the settings' for what is not given; see `create_improver`."""
    settings = Settings()
    registry = parts.get("registry") or Registry(settings.model_save_path)
    tools = parts.get("tools")
    return Services(
        model=model if callable(model) else _factory(model or settings.ratchet_model, registry),
        tools=tuple(tools if tools is not None else get_tools()),
        store=parts.get("store") or TraceStore(settings.trace_store),
        registry=registry,
        folder=parts.get("folder") or settings.training_data_path,
        budgets=parts.get("budgets") or UNTIMED,
        gate=parts.get("gate") or GateSettings(),
        replay=parts.get("replay"),
    )


def write(path: Path, noun: Stored) -> str:
    """Writes a noun whole or not at all, and returns the path as state holds it. Raises like `write_bytes`."""
    return write_bytes(path, noun.model_dump_json().encode())


def write_bytes(path: Path, data: bytes) -> str:
    """Writes a file whole or not at all, and returns the path as state holds it.

    Raises:
        DiskError: it could not be written; what was there before is kept.
    """
    try:
        replace_durably(path, data)
    except OSError as error:
        raise DiskError(path, error) from error
    return str(path)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(folder, error) from error
    return folder


def _factory(model: str, registry: Registry) -> ModelFactory:
    return lambda adapter: ChatTransformers(model=model, adapter=adapter, registry=registry.root)
