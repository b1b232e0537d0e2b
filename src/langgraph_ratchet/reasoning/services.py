"""The live objects that the nodes use, bound when the graph is built."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from langgraph_ratchet.core.errors import BadInputError, ToolCallingError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.reruns import tools_to_use
from langgraph_ratchet.reasoning.strategy import Strategy
from langgraph_ratchet.tools import memory
from langgraph_ratchet.traces.recorder import Recorder

ChatRunnable = Runnable[LanguageModelInput, AIMessage]

Memory = memory.Memory | Callable[[Question], Sequence[str]]
"""A memory, or what gives texts that may help with a question, best first; those are treated as untrusted."""


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
    allow: frozenset[str] = frozenset()
    """Names of tools that may act without an approval, until the run has read other people's text."""
    models: Callable[[str], BaseChatModel] | None = None
    """Gives the model that a context names; `None` where a context may not name one."""

    def under(self, context: Context) -> "Services":
        """These services as a context wants them: within its limits, on its model. May read files.

        Where a run is made again, with stand-ins for the tools that have effects (`reruns`).
        """
        services = replace(self, budgets=self.budgets.within(context), tools=tools_to_use(self.tools))
        if context.model is None:
            return services
        if self.models is None:
            raise BadInputError(
                f"the context names the model {context.model!r}, and this graph does not let it: leave `model` empty, "
                "or build the graph with create_reasoner(..., models=resolve_model)"
            )
        model = self.models(context.model)
        acting_model = with_tools(model, list(self.tools.values()))
        return replace(services, model=model, acting_model=acting_model, model_name=name_of(model))


def with_tools(model: BaseChatModel, tools: list[BaseTool]) -> ChatRunnable:
    """The model with the tools bound; without tools, the model.

    Raises:
        ToolCallingError: the model cannot call tools.
    """
    if not tools:
        return model
    try:
        return model.bind_tools(tools)
    except NotImplementedError as error:
        raise ToolCallingError(
            f"{type(model).__name__} cannot call tools, and {len(tools)} were given: use a chat model that implements "
            "bind_tools (ChatTransformers for local models), or give no tools"
        ) from error


def name_of(model: BaseChatModel) -> str:
    """The model's name as it identifies itself; LangChain has no single place for it."""
    for attribute in ("model_name", "model", "model_id", "name_of_model"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__
