"""Builds the improvement graph."""

from typing import Literal

from langgraph.graph import START, StateGraph
from typing_extensions import Unpack

from langgraph_ratchet.improvement.node import NodeFunction, as_node
from langgraph_ratchet.improvement.nodes.approve import approve
from langgraph_ratchet.improvement.nodes.control import control
from langgraph_ratchet.improvement.nodes.curate import curate
from langgraph_ratchet.improvement.nodes.diagnose import diagnose
from langgraph_ratchet.improvement.nodes.evaluate import evaluate
from langgraph_ratchet.improvement.nodes.gate import gate
from langgraph_ratchet.improvement.nodes.grade import grade
from langgraph_ratchet.improvement.nodes.measure_more import measure_more
from langgraph_ratchet.improvement.nodes.promote import promote
from langgraph_ratchet.improvement.nodes.propose import propose
from langgraph_ratchet.improvement.nodes.remember import remember
from langgraph_ratchet.improvement.nodes.roll_out import roll_out
from langgraph_ratchet.improvement.nodes.train import train
from langgraph_ratchet.improvement.services import ModelFactory, Parts, Services, make_services
from langgraph_ratchet.improvement.state import ImprovementInput, ImprovementOutput, ImprovementState

__all__ = ["ImprovementGraph", "build", "create_improver", "make_services"]

ImprovementGraph = StateGraph[ImprovementState, None, ImprovementInput, ImprovementOutput]

_NODES: dict[str, NodeFunction] = {
    "diagnose": diagnose,
    "propose": propose,
    "roll_out": roll_out,
    "grade": grade,
    "curate": curate,
    "train": train,
    "evaluate": evaluate,
    "control": control,
    "gate": gate,
    "approve": approve,
    "measure_more": measure_more,
    "promote": promote,
    "remember": remember,
}

_EDGES = (
    (START, "diagnose"),
    ("diagnose", "propose"),
    ("propose", "roll_out"),
    ("roll_out", "grade"),
    ("grade", "curate"),
    ("train", "evaluate"),
    ("control", "gate"),
    ("gate", "approve"),
    ("measure_more", "gate"),
    ("promote", "remember"),
)


def create_improver(model: str | ModelFactory | Services | None = None, **parts: Unpack[Parts]) -> ImprovementGraph:
    """The improvement graph, uncompiled: compile it with a durable checkpointer, since a round takes its time.

    Args:
        model: base model by name or path (default: the settings'), a function from an adapter's id to a chat model,
            or finished `Services`.
        parts: `tools`, `replay`, `store`, `registry`, `folder`, `budgets`, `gate`: see `services.Parts`.

    Returns:
        A `StateGraph` over `ImprovementState`; `{}` is a valid input.
    """
    return build(model if isinstance(model, Services) else make_services(model, **parts))


def build(services: Services) -> ImprovementGraph:
    """The improvement graph on these services, uncompiled."""
    graph = StateGraph(ImprovementState, input_schema=ImprovementInput, output_schema=ImprovementOutput)
    for name, function in _NODES.items():
        graph.add_node(name, as_node(name, function, services))
    for before, after in _EDGES:
        graph.add_edge(before, after)
    graph.add_conditional_edges("curate", after_curate)
    graph.add_conditional_edges("evaluate", after_evaluate)
    graph.add_conditional_edges("approve", after_approve)
    graph.add_conditional_edges("remember", after_remember)
    return graph


def after_curate(state: ImprovementState) -> Literal["train", "remember"]:
    """Nothing to learn from ends the round."""
    return "remember" if state.get("stopped") else "train"


def after_evaluate(state: ImprovementState) -> Literal["control", "gate"]:
    """A control is trained only where one was asked for."""
    return "control" if state.get("control") else "gate"


def after_approve(state: ImprovementState) -> Literal["measure_more", "promote"]:
    """Whoever wants to see more problems is asked again when they are measured."""
    return "measure_more" if (state.get("approval") or {}).get("verdict") == "more_problems" else "promote"


def after_remember(state: ImprovementState) -> Literal["diagnose", "__end__"]:
    """The next round, unless the run is over."""
    return "__end__" if state.get("over") else "diagnose"
