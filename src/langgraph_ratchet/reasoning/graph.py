"""Builds the reasoning graph."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, tool as as_tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.reasoning import routes
from langgraph_ratchet.reasoning.approval import NOT_KEPT
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.driver import NodeFunction, as_node
from langgraph_ratchet.reasoning.nodes.accept import accept
from langgraph_ratchet.reasoning.nodes.act import act
from langgraph_ratchet.reasoning.nodes.finish import finish
from langgraph_ratchet.reasoning.nodes.plan import plan
from langgraph_ratchet.reasoning.nodes.recall import recall
from langgraph_ratchet.reasoning.nodes.select_strategy import select_strategy
from langgraph_ratchet.reasoning.nodes.self_check import self_check
from langgraph_ratchet.reasoning.nodes.synthesize import synthesize
from langgraph_ratchet.reasoning.nodes.tools import tools as use_tools
from langgraph_ratchet.reasoning.retry import RETRIED, RETRY
from langgraph_ratchet.reasoning.services import Memory, Services, name_of, with_tools
from langgraph_ratchet.reasoning.state import ReasoningInput, ReasoningOutput, ReasoningState
from langgraph_ratchet.reasoning.strategy import get_strategy, strategies as all_strategies
from langgraph_ratchet.traces.recorder import Recorder
from langgraph_ratchet.traces.store import TraceStore


class ReasoningGraph(StateGraph[ReasoningState, Context, ReasoningInput, ReasoningOutput]):
    """A `StateGraph` whose nodes know when it was compiled so that nothing keeps their state."""

    def compile(
        self, checkpointer: Checkpointer = None, **more: Any
    ) -> CompiledStateGraph[ReasoningState, Context, ReasoningInput, ReasoningOutput]:
        """As `StateGraph.compile`."""
        compiled = super().compile(checkpointer, **more)
        # As a subgraph it would be run from its beginning when its parent is resumed, and do again what it did.
        return compiled.with_config(configurable={NOT_KEPT: True}) if checkpointer is False else compiled


_NODES: dict[str, NodeFunction] = {
    "accept": accept,
    "recall": recall,
    "plan": plan,
    "select_strategy": select_strategy,
    "act": act,
    "tools": use_tools,
    "synthesize": synthesize,
    "self_check": self_check,
    "finish": finish,
}


def create_reasoner(
    model: BaseChatModel,
    tools: Sequence[BaseTool | Callable[..., Any]] = (),
    *,
    store: TraceStore | Literal["default"] | None = "default",
    strategies: Sequence[str] | None = None,
    budgets: Budgets | None = None,
    memory: Memory | None = None,
    models: Callable[[str], BaseChatModel] | None = None,
    allow: Collection[str] = (),
) -> ReasoningGraph:
    """The reasoning graph, uncompiled: compile it with your checkpointer and store, or use it as a subgraph.

    Args:
        model: any LangChain chat model; one that can call tools when tools are given.
        tools: LangChain tools, or functions with type hints and a docstring.
        store: where every run is recorded; `"default"` is the trace store of the settings (`.ratchet/traces.db`),
            opened at the first run; `None` records nothing.
        strategies: names of the strategies to choose from; `None` offers the built-in ones.
        budgets: limits of a run.
        memory: a `tools.memory.Memory`, or a function that gives texts that may help with a question.
        models: gives the model that a context names, `resolve_model` for example; by default a context may not name
            one, since whoever invokes the graph would choose what is loaded and paid for.
        allow: names of tools that may write or execute without asking, until the run has read other people's text.
            Any other tool that does so, or that declares nothing (`tools.spec.declare`), asks by an interrupt, for
            which the graph needs a checkpointer; without one its calls are refused.

    Returns:
        A `StateGraph` that takes `messages` or a `question` and gives the answer as a message and in `answer`, with
        `confidence`, `outcome` and `trace_id`.

    Raises:
        ToolCallingError: tools were given and the model cannot call tools.
        UnknownNameError: a strategy does not exist.
        BadInputError: two tools share a name; or `allow` is a text.
    """
    if store == "default":
        store = TraceStore(Settings().trace_store)
    if isinstance(allow, str):  # whose letters would be taken for names
        raise BadInputError(f"allow is {allow!r}; it takes names in a list: allow=[{allow!r}]")
    named = _by_name([item if isinstance(item, BaseTool) else as_tool(item) for item in tools])
    chosen = {name: get_strategy(name) for name in strategies} if strategies else dict(all_strategies())
    services = Services(
        model=model,
        acting_model=with_tools(model, list(named.values())),
        model_name=name_of(model),
        tools=named,
        offered=tuple(convert_to_openai_tool(item) for item in named.values()),
        strategies=chosen,
        budgets=budgets or Budgets(),
        recorder=Recorder(store),
        memory=memory,
        code_version=_code_version(),
        models=models,
        allow=frozenset(allow),
    )
    graph = ReasoningGraph(
        ReasoningState, context_schema=Context, input_schema=ReasoningInput, output_schema=ReasoningOutput
    )
    for name, function in _NODES.items():
        graph.add_node(name, as_node(name, function, services), retry_policy=RETRY if name in RETRIED else None)
    graph.add_edge(START, "accept")
    graph.add_edge("accept", "recall")
    graph.add_edge("recall", "plan")
    graph.add_conditional_edges("plan", routes.after_plan)
    graph.add_conditional_edges("select_strategy", routes.after_select_strategy)
    graph.add_conditional_edges("act", routes.after_act)
    graph.add_conditional_edges("tools", routes.after_tools)
    graph.add_conditional_edges("synthesize", routes.after_synthesize)
    graph.add_conditional_edges("self_check", routes.after_self_check)
    graph.add_edge("finish", END)
    return graph


def _by_name(tools: Sequence[BaseTool]) -> dict[str, BaseTool]:
    named: dict[str, BaseTool] = {}
    for item in tools:
        if item.name in named:
            raise BadInputError(f"two tools are called {item.name!r}: give each tool a name of its own")
        named[item.name] = item
    return named


@cache
def _code_version() -> str:
    try:
        return version("langgraph-ratchet")
    except PackageNotFoundError:
        return "0+source"
