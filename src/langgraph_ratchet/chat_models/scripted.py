"""Chat models without weights: one that replays a script, one that follows a policy.

They ship in the package so that users can test their graphs as we test ours: with a real chat model that happens to
know its lines.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from langgraph_ratchet.core.errors import BadInputError

Policy = Callable[[list[BaseMessage], dict[str, Any]], AIMessage]
"""Takes the messages and the call's keyword arguments (`stop`, and tools in OpenAI's shape); gives the reply."""


class PolicyChatModel(BaseChatModel):
    """Asks a policy for every reply; the policy may be called from many threads at once.

    With `n` it is asked `n` times. A stream gives the reply's text word by word, then its tool calls. In the async
    forms the policy is called in the event loop: it computes and does not wait.

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
        replies = [self._ask(messages, stop, kwargs) for _ in range(kwargs.get("n") or 1)]
        return ChatResult(generations=[ChatGeneration(message=reply) for reply in replies])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._ask(messages, stop, kwargs)):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._ask(messages, stop, kwargs)):
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _ask(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> AIMessage:
        message = self.policy(messages, {**kwargs, "stop": stop} if stop else kwargs)
        message.response_metadata.setdefault("model_name", self.name_of_model)
        return message


def _chunks(reply: AIMessage) -> Iterator[ChatGenerationChunk]:
    """`reply` in pieces, whose sum is equal to it; the last one has its metadata and usage."""
    for word in re.findall(r"\s*\S+\s*$|\s*\S+|\s+", str(reply.text)):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word, id=reply.id))
    for index, call in enumerate([*reply.tool_calls, *reply.invalid_tool_calls]):
        args = call["args"] if isinstance(call["args"], str) else orjson.dumps(call["args"]).decode()
        for part in (
            tool_call_chunk(name=call["name"], args="", id=call["id"], index=index),
            tool_call_chunk(args=args, index=index),
        ):
            yield ChatGenerationChunk(message=AIMessageChunk(content="", id=reply.id, tool_call_chunks=[part]))
    last = AIMessageChunk(
        content="",
        id=reply.id,
        additional_kwargs=reply.additional_kwargs,
        response_metadata=reply.response_metadata,
        usage_metadata=reply.usage_metadata,
        chunk_position="last",
    )
    yield ChatGenerationChunk(message=last)


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
