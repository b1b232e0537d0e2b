"""Chat models without weights: one that replays a script, one that follows a policy.

They ship in the package so that users can test their graphs as we test ours: with a real chat model that happens to
know its lines.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from langgraph_ratchet.core.errors import BadInputError

Policy = Callable[[list[BaseMessage], dict[str, Any]], AIMessage]
"""Takes the messages and the call's keyword arguments (tools among them, in OpenAI's shape); gives the reply."""


class PolicyChatModel(BaseChatModel):
    """Asks a policy for every reply; the policy may be called from many threads at once.

    Args:
        policy: see `Policy`. What it raises is raised to the caller, as a failing model would.
        name_of_model: what the model calls itself in traces.
    """

    policy: Policy
    name_of_model: str = "policy"

    @property
    def _llm_type(self) -> str:
        return self.name_of_model

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.name_of_model}

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with `tools` offered; the policy finds them under `tools`."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self.policy(messages, kwargs)
        message.response_metadata.setdefault("model_name", self.name_of_model)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # No executor: a policy computes, it does not wait.
        return self._generate(messages, stop, None, **kwargs)


class ScriptedChatModel(PolicyChatModel):
    """Replies with the lines of a script, in order.

    Example:
        >>> model = ScriptedChatModel.of("1. Add them.", AIMessage("4"))

    Raises:
        BadInputError: it was asked more often than its script has lines.
    """

    name_of_model: str = "scripted"
    _asked: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    @classmethod
    def of(cls, *replies: str | AIMessage | Exception) -> "ScriptedChatModel":
        """A model that gives `replies` one after another; an exception among them is raised."""
        script: Iterator[str | AIMessage | Exception] = iter(replies)

        def read(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
            model._asked.append(messages)
            reply = next(script, None)
            if reply is None:
                raise BadInputError(f"the script has {len(replies)} replies and was asked for one more: add a reply")
            if isinstance(reply, Exception):
                raise reply
            return AIMessage(reply) if isinstance(reply, str) else reply.model_copy(deep=True)

        model = cls(policy=read)
        return model

    @property
    def asked(self) -> list[list[BaseMessage]]:
        """The messages of every call so far, in order."""
        return self._asked
