"""The reasoning graph as a chat model: each call is a run of the whole graph, and its reply is the run's answer."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    UsageMetadataCallbackHandler,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import run_in_executor
from langchain_core.tools import BaseTool

from langgraph_ratchet.core.errors import BadInputError, StoreError, UnknownNameError
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import memory_of
from langgraph_ratchet.traces.store import TraceStore

_TAKEN = {"temperature", "seed", "max_tokens", "adapter", "trace"}
_REASONS = {"out_of_tokens": "length"}
_SPEAKERS = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}


@dataclass(frozen=True)
class _Run:
    """What a run is given."""

    question: dict[str, str]
    context: Context
    with_trace: bool


class ReasonerChatModel(BaseChatModel):
    """Answers by reasoning: `create_reasoner`, behind the interface of a chat model.

    The last message is the question, those before it are its context. Keyword arguments of a call: `temperature` and
    `seed` of the run, `max_tokens` (most tokens that the run may read and write), `adapter` (the version to reason
    with, for a model that has versions) and `trace` (whether the reply is to hold the run's trace). A stream tells the
    run's progress as reasoning content, then gives the answer.

    The reply's `response_metadata["ratchet"]` holds `trace_id`, `outcome`, `confidence`, `strategy` and, if it was
    asked for, `trace`.

    Raises:
        BadInputError: an argument that a run cannot keep, or messages that do not end with a user's.
    """

    graph: Any
    """The compiled graph."""
    store: Any = None
    """Where its runs are recorded; `None` for nowhere."""

    @classmethod
    def over(
        cls,
        model: BaseChatModel,
        tools: Sequence[BaseTool],
        store: TraceStore | None,
        *,
        versions: Callable[[str], BaseChatModel] | None = None,
        allow: Collection[str] = (),
    ) -> "ReasonerChatModel":
        """A reasoner on `model`; `versions` gives the model for an `adapter`, `allow` names tools that may act.

        A client of a chat model cannot be asked: a tool that acts and is not allowed is refused with the reason.
        """
        graph = create_reasoner(model, tools, store=store, models=versions, allow=allow, memory=memory_of(tools))
        return cls(graph=graph.compile(name="reasoner"), store=store)

    @property
    def _llm_type(self) -> str:
        return "ratchet-reasoner"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        run = _run(messages, stop, kwargs)
        counter = UsageMetadataCallbackHandler()
        result = self.graph.invoke({"question": run.question}, {"callbacks": [counter]}, context=run.context)
        trace = self._trace(result["trace_id"]) if run.with_trace else None
        return _reply(_message(result, counter, trace))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        run = _run(messages, stop, kwargs)
        counter = UsageMetadataCallbackHandler()
        result = await self.graph.ainvoke({"question": run.question}, {"callbacks": [counter]}, context=run.context)
        trace = await run_in_executor(None, self._trace, result["trace_id"]) if run.with_trace else None
        return _reply(_message(result, counter, trace))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        run = _run(messages, stop, kwargs)
        counter = UsageMetadataCallbackHandler()
        result: dict[str, Any] = {}
        async for mode, chunk in self.graph.astream(
            {"question": run.question}, {"callbacks": [counter]}, context=run.context, stream_mode=["updates", "values"]
        ):
            if mode == "values":
                result = chunk
                continue
            for node, update in chunk.items():
                said = _progress(node, update or {})
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content="", additional_kwargs={"reasoning_content": said})
                )
        trace = await run_in_executor(None, self._trace, result["trace_id"]) if run.with_trace else None
        message = _message(result, counter, trace)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content=message.content,
                response_metadata=message.response_metadata,
                usage_metadata=message.usage_metadata,
                chunk_position="last",
            )
        )

    def _trace(self, id_: str) -> dict[str, Any] | None:
        """The run's trace as JSON; `None` when it could not be stored, of which the recorder has warned."""
        if self.store is None:
            raise BadInputError("this server records no runs, so it has no traces: ask without `trace`")
        try:
            trace: dict[str, Any] = self.store.trace(id_).model_dump(mode="json")
        except (UnknownNameError, StoreError):
            return None
        return trace


def _run(messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> _Run:
    given = {name: value for name, value in kwargs.items() if value is not None}
    odd = sorted(set(given) - _TAKEN) + (["stop"] if stop else [])
    if odd:
        raise BadInputError(
            f"the reasoner cannot keep {', '.join(odd)}: it has tools and prompts of its own, so ask it with messages, "
            "temperature, seed and max_tokens only, or ask a model itself"
        )
    *before, last = messages
    if last.type != "human":
        raise BadInputError(f"the last message is the question and must be a user's; this one is of type {last.type!r}")
    earlier = "\n\n".join(f"{_SPEAKERS.get(each.type, each.type)}: {each.text}" for each in before)
    context = Context(
        model=given.get("adapter"),
        temperature=given.get("temperature"),
        seed=given.get("seed"),
        tokens=given.get("max_tokens"),
    )
    return _Run({"text": str(last.text), "context": earlier}, context, bool(given.get("trace")))


def _message(result: dict[str, Any], counter: UsageMetadataCallbackHandler, trace: dict[str, Any] | None) -> AIMessage:
    usage: UsageMetadata | None = None
    for each in counter.usage_metadata.values():
        usage = add_usage(usage, each)
    said = {name: result.get(name) for name in ("trace_id", "outcome", "confidence", "strategy", "error")}
    return AIMessage(
        str(result["messages"][-1].text),
        usage_metadata=usage,
        response_metadata={
            "model_name": "reasoner",
            "finish_reason": _REASONS.get(str(result["outcome"]), "stop"),
            "ratchet": said if trace is None else {**said, "trace": trace},
        },
    )


def _reply(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def _progress(node: str, update: dict[str, Any]) -> str:
    """What a node has done, as lines for whoever watches."""
    lines = [node.replace("_", " "), *update.get("plan", ())]
    if strategy := update.get("strategy"):
        lines.append(str(strategy))
    lines += [f"{step['tool']}({step['input']}) → {step['output']}" for step in update.get("steps", ()) if step["tool"]]
    if conclusion := update.get("conclusion"):
        lines.append(str(conclusion))
    return "\n".join(lines) + "\n"
