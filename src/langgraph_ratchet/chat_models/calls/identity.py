"""What tells one chat model's replies from another's: the key of caches, and what traces record of a call.

To find it out files are read (which version is champion, whether an adapter is whole), so in an event loop it is looked
up in a thread before LangChain asks for it.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, run_in_executor

_looked_up: ContextVar[tuple[int, dict[str, Any]]] = ContextVar("ratchet_identity", default=(0, {}))
"""What was looked up for the running async call, and the `id` of the model that it belongs to."""


class Identified(BaseChatModel):
    """A chat model whose identity takes a look at files."""

    @abstractmethod
    def _identify(self, given: dict[str, Any]) -> dict[str, Any]:
        """What decides the replies to a call with the arguments `given`."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        owner, identity = _looked_up.get()
        return identity if owner == id(self) else self._identify({})

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        owner, identity = _looked_up.get()
        if owner != id(self):
            identity = self._identify(kwargs)
        return {**identity, "_type": self._llm_type, **kwargs, "stop": stop if stop is not None else identity["stop"]}

    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """As `generate`."""
        async with self._identified(kwargs):
            return await super().agenerate(messages, *args, **kwargs)

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As `stream`."""
        source = super().astream(input, config, stop=stop, **kwargs)
        async with aclosing(cast(AsyncGenerator[AIMessageChunk, None], source)) as chunks:
            async with self._identified(kwargs):  # it is asked for before the first chunk
                first = await anext(chunks)
            yield first
            async for chunk in chunks:
                yield chunk

    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As LangChain's."""
        events = super().astream_events(input, config, **kwargs)
        return self._identified_events(events, kwargs) if kwargs.get("version") == "v3" else events

    async def _identified_events(self, events: Any, given: dict[str, Any]) -> Any:
        async with self._identified({name: value for name, value in given.items() if name != "version"}):
            return await cast(Awaitable[Any], events)

    @asynccontextmanager
    async def _identified(self, given: dict[str, Any]) -> AsyncIterator[None]:
        identity = await run_in_executor(None, self._identify, given)
        token = _looked_up.set((id(self), identity))
        try:
            yield
        finally:
            _looked_up.reset(token)


def run_asking(run_manager: Any) -> str | None:
    """Which run a call belongs to, for fairness between runs.

    Args:
        run_manager: of the call; streams have none, and belong to what runs around them.
    """
    from langgraph_ratchet.chat_models.calls.runs import run_of

    if run_manager is not None:
        return run_of(run_manager.metadata, run_manager.parent_run_id)
    config = ensure_config()
    return run_of(config.get("metadata"), getattr(config.get("callbacks"), "parent_run_id", None))
