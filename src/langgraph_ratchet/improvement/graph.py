"""Builds the improvement graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from langchain_core.tools import BaseTool
from langgraph.graph import END, START, StateGraph

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.improvement.node import NodeFunction, as_node
from langgraph_ratchet.improvement.nodes.approve import approve
from langgraph_ratchet.improvement.nodes.curate import curate
from langgraph_ratchet.improvement.nodes.diagnose import diagnose
from langgraph_ratchet.improvement.nodes.evaluate import evaluate
from langgraph_ratchet.improvement.nodes.gate import gate
from langgraph_ratchet.improvement.nodes.grade import grade
from langgraph_ratchet.improvement.nodes.promote import promote
from langgraph_ratchet.improvement.nodes.propose import propose
from langgraph_ratchet.improvement.nodes.roll_out import roll_out
from langgraph_ratchet.improvement.nodes.train import train
from langgraph_ratchet.improvement.services import ModelFactory, Services
from langgraph_ratchet.improvement.state import ImprovementInput, ImprovementOutput, ImprovementState
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

ImprovementGraph = StateGraph[ImprovementState, None, ImprovementInput, ImprovementOutput]

_NODES: dict[str, NodeFunction] = {
    "diagnose": diagnose,
    "propose": propose,
    "roll_out": roll_out,
    "grade": grade,
    "curate": curate,
    "train": train,
    "evaluate": evaluate,
    "gate": gate,
    "approve": approve,
    "promote": promote,
}

_EDGES = (
    ("diagnose", "propose"),
    ("propose", "roll_out"),
    ("roll_out", "grade"),
    ("grade", "curate"),
    ("train", "evaluate"),
    ("evaluate", "gate"),
    ("gate", "approve"),
    ("approve", "promote"),
    ("promote", END),
)


def create_improver(
    model: str | ModelFactory | None = None,
    *,
    tools: Sequence[BaseTool] | None = None,
    store: TraceStore | None = None,
    registry: Registry | None = None,
    folder: Path | None = None,
    budgets: Budgets | None = None,
) -> ImprovementGraph:
    """The improvement graph, uncompiled: compile it with a durable checkpointer, since a round takes its time.

    Args:
        model: base model by name or path (default: the settings'), or a function from an adapter's id to a chat model.
        tools: tools to practise with; the calculator, the clock and the documents of the question by default. They
            are really called, so give only tools whose effects may happen again and again.
        store: the trace store (default: the settings').
        registry: the model registry (default: the settings').
        folder: where datasets, jobs and reports are kept (default: the settings').
        budgets: limits of each rollout.

    Returns:
        A `StateGraph` over `ImprovementState`; `{}` is a valid input.
    """
    return build(make_services(model, tools=tools, store=store, registry=registry, folder=folder, budgets=budgets))


def make_services(
    model: str | ModelFactory | None = None,
    *,
    tools: Sequence[BaseTool] | None = None,
    store: TraceStore | None = None,
    registry: Registry | None = None,
    folder: Path | None = None,
    budgets: Budgets | None = None,
) -> Services:
    """The live objects of an improvement graph, with the settings' for what is not given; see `create_improver`."""
    settings = Settings()
    registry = registry or Registry(settings.model_save_path)
    return Services(
        model=model if callable(model) else _factory(model or settings.ratchet_model, registry),
        tools=tuple(tools if tools is not None else get_tools("calculator", "clock", "documents")),
        store=store or TraceStore(settings.trace_store),
        registry=registry,
        folder=folder or settings.training_data_path,
        budgets=budgets or Budgets(),
    )


def build(services: Services) -> ImprovementGraph:
    """The improvement graph on these services, uncompiled."""
    graph = StateGraph(ImprovementState, input_schema=ImprovementInput, output_schema=ImprovementOutput)
    for name, function in _NODES.items():
        graph.add_node(name, as_node(name, function, services))
    graph.add_edge(START, "diagnose")
    for before, after in _EDGES:
        graph.add_edge(before, after)
    graph.add_conditional_edges("curate", after_curate)
    return graph


def after_curate(state: ImprovementState) -> Literal["train", "__end__"]:
    """Nothing to learn from ends the round."""
    return "__end__" if state.get("stopped") else "train"


def _factory(model: str, registry: Registry) -> ModelFactory:
    return lambda adapter: ChatTransformers(model=model, adapter=adapter, registry=registry.root)
