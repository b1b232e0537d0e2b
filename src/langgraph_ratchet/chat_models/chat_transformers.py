"""`ChatTransformers`: a LangChain chat model in this process that batches concurrent calls and keeps exact tokens."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import Runnable, run_in_executor
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langgraph_ratchet.chat_models.base import load_base, require_tools_in_template
from langgraph_ratchet.chat_models.parse import parse_reply
from langgraph_ratchet.chat_models.render import render_prompt, require_tool_calling
from langgraph_ratchet.core.call import Tokens
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.registry import Registry

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.adapters import Adapter
    from langgraph_ratchet.chat_models.base import Base
    from langgraph_ratchet.chat_models.engine import Completion, Engine, Request


_identity: ContextVar[tuple[int, dict[str, Any]]] = ContextVar("ratchet_identity", default=(0, {}))
"""Identifying parameters that were looked up for the running async call, and the `id` of their model."""


class ChatTransformers(BaseChatModel):
    """A local chat model over transformers, with adapters of the registry.

    All instances on one base share one engine: calls that are made at the same time, from threads or from asyncio
    tasks, are generated in one batch. A call's draw depends on its seed and prompt, not on the calls beside it.

    Per call (`invoke`, `bind`) these keyword arguments override the fields: `model`, `adapter`, `temperature`, `seed`,
    `max_tokens`; and `stop`, `tools`, `tool_choice` ("auto" or "none") are taken.

    The reply's `response_metadata` holds `model_name`, `model_version` (registry id or `None`), `finish_reason`
    ("stop", "length" or "tool_calls") and `tokens` (`core.call.Tokens` as JSON).

    Example:
        >>> model = ChatTransformers(model="pocket", temperature=1.0, seed=7)

    Raises:
        UnknownNameError: on the first call, for a model or adapter that does not exist; it lists those that do.
        CorruptFileError: an adapter's file is not what it was when it was registered.
        BadInputError: the prompt leaves no room in the context, or an argument cannot be used.
        ToolCallingError: tools are bound and the model's template cannot render them.
    """

    model: str = "pocket"
    """`pocket`, a folder, `local:PATH`, or a model of the Hugging Face hub (`hf:ID`)."""
    adapter: str | None = None
    """Version id, a unique beginning of one, `champion`, or a folder; `None` is the bare base. `champion` is looked up
    at each call, so that a promotion takes effect in a running app."""
    registry: Path | None = None
    """Folder of the registry; `None` takes `MODEL_SAVE_PATH`."""
    temperature: float = Field(default=0.0, ge=0.0)
    """0 is greedy."""
    max_tokens: int = Field(default=256, ge=1)
    seed: int | None = None
    """The same seed and prompt give the same reply; `None` draws a seed for each call."""
    max_batch: int = Field(default=64, ge=1)
    """Most calls that run at once."""
    deterministic: bool = False
    """Whether a reply must be the same to the bit whatever runs beside it; slower."""
    dtype: str = "float32"
    device: str | None = None
    """As torch names it; `None` takes a GPU when there is one."""

    @property
    def base(self) -> "Base":
        """The base model, loaded on first use."""
        return load_base(self.model, dtype=self.dtype, device=self.device)

    @property
    def engine(self) -> "Engine":
        """The engine that generates for this model."""
        from langgraph_ratchet.chat_models.engine import engine_of

        return engine_of(self.base, deterministic=self.deterministic)

    @property
    def adapter_version(self) -> str | None:
        """Registry id of the adapter that a call would use now; `None` for the bare base and for a folder."""
        adapter = self._resolve(self.adapter)
        return adapter.version if adapter else None

    def score(self, prompt_ids: Sequence[int], completion_ids: Sequence[int]) -> list[float]:
        """Natural-log probability of each completion token, anew, with the adapter that a call would use now."""
        return self.engine.score(prompt_ids, completion_ids, self._resolve(self.adapter))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with `tools` offered to it. Nothing is loaded: binding happens where graphs are built.

        Raises:
            ToolCallingError: the chat template takes no tools. Whether calls can be read is seen by the first call.
        """
        require_tools_in_template(self.model)
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **choice, **kwargs)

    @property
    def _llm_type(self) -> str:
        return "ratchet-transformers"

    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """As `generate`. What the model is gets looked up in a thread first: it reads files, and the loop must not."""
        identity = await run_in_executor(None, self._identify)
        token = _identity.set((id(self), identity))
        try:
            return await super().agenerate(messages, *args, **kwargs)
        finally:
            _identity.reset(token)

    @property
    def _identifying_params(self) -> dict[str, Any]:
        owner, identity = _identity.get()
        return identity if owner == id(self) else self._identify()

    def _identify(self) -> dict[str, Any]:
        adapter = self._resolve(self.adapter)
        return {
            "model_name": self.model,
            "base": self.base.fingerprint.base,
            "template": self.base.fingerprint.template,
            "adapter": adapter.hash if adapter else None,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "dtype": self.dtype,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "ratchet"
        params["ls_model_name"] = kwargs.get("model", self.model)
        params["ls_temperature"] = kwargs.get("temperature", self.temperature)
        params["ls_max_tokens"] = kwargs.get("max_tokens", self.max_tokens)
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._prepare(messages, stop, kwargs)
        future = call.submit()
        try:
            completion = future.result()
        except BaseException:
            future.cancel()  # an interrupted caller's row leaves the batch
            raise
        return self._result(call, completion)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Loading a model, reading an adapter and rendering must not hold up the event loop; waiting needs no thread.
        call = await run_in_executor(None, self._prepare, messages, stop, kwargs)
        completion = await asyncio.wrap_future(await run_in_executor(None, call.submit))
        return self._result(call, completion)

    def _prepare(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> "_Call":
        from langgraph_ratchet.chat_models.engine import Request, engine_of

        arguments = _Arguments.of(self, kwargs)
        base = load_base(arguments.model, dtype=self.dtype, device=self.device)
        if arguments.tools:
            require_tool_calling(base.tokenizer, arguments.model)
        request = Request(
            prompt_ids=tuple(render_prompt(base.tokenizer, messages, arguments.tools)),
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            seed=arguments.seed,
            adapter=self._resolve(arguments.adapter),
            stopped=_stop_check(base, stop) if stop else None,
            max_batch=self.max_batch,
        )
        engine = engine_of(base, deterministic=self.deterministic)
        return _Call(arguments.model, engine, request, arguments.tools, tuple(stop or ()))

    def _result(self, call: "_Call", completion: "Completion") -> ChatResult:
        prompt_ids = call.request.prompt_ids
        reply = parse_reply(call.engine.base.tokenizer, prompt_ids, completion.ids, call.tools)
        adapter, fingerprint = call.request.adapter, call.engine.base.fingerprint
        if adapter is not None:
            fingerprint = fingerprint.model_copy(update={"adapter": adapter.hash})
        tokens = Tokens(
            prompt_ids=prompt_ids, completion_ids=completion.ids, logprobs=completion.logprobs, fingerprint=fingerprint
        )
        reason = "length" if completion.cut else "tool_calls" if reply.tool_calls else "stop"
        message = AIMessage(
            content=_before(reply.content, call.stop),
            tool_calls=list(reply.tool_calls),
            invalid_tool_calls=list(reply.invalid_tool_calls),
            additional_kwargs={"reasoning_content": reply.reasoning} if reply.reasoning else {},
            usage_metadata=UsageMetadata(
                input_tokens=len(prompt_ids),
                output_tokens=len(completion.ids),
                total_tokens=len(prompt_ids) + len(completion.ids),
            ),
            response_metadata={
                "model_name": call.model,
                "model_version": adapter.version if adapter else None,
                "finish_reason": reason,
                "tokens": tokens.model_dump(mode="json"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message, generation_info={"finish_reason": reason})])

    def _resolve(self, adapter: str | None) -> "Adapter | None":
        if adapter is None:
            return None
        from langgraph_ratchet.chat_models.adapters import resolve_adapter  # loads torch

        return resolve_adapter(adapter, Registry(self.registry or Settings().model_save_path))


@dataclass(frozen=True)
class _Call:
    """A call that has been made ready, and what is needed to read its completion."""

    model: str
    engine: "Engine"
    request: "Request"
    tools: list[dict[str, Any]]
    stop: tuple[str, ...]

    def submit(self) -> "Future[Completion]":
        """Hands the request to the engine of its base."""
        return self.engine.submit(self.request)


@dataclass(frozen=True)
class _Arguments:
    """The keyword arguments of one call over the model's fields."""

    model: str
    adapter: str | None
    temperature: float
    max_tokens: int
    seed: int | None
    tools: list[dict[str, Any]]

    @classmethod
    def of(cls, model: ChatTransformers, kwargs: dict[str, Any]) -> "_Arguments":
        given = {name: value for name, value in kwargs.items() if value is not None}
        choice = given.get("tool_choice", "auto")
        if choice not in ("auto", "none"):
            raise BadInputError(
                f"tool_choice={choice!r} is not supported by ChatTransformers: give 'auto' or 'none', and say in the "
                "prompt which tool is wanted"
            )
        temperature, max_tokens = given.get("temperature", model.temperature), given.get("max_tokens", model.max_tokens)
        if not 0 <= temperature < float("inf") or max_tokens < 1:
            raise BadInputError(
                f"temperature must be 0 or more and max_tokens 1 or more; got {temperature!r} and {max_tokens!r}"
            )
        return cls(
            model=given.get("model", model.model),
            adapter=given.get("adapter", model.adapter),
            temperature=float(temperature),
            max_tokens=int(max_tokens),
            seed=given.get("seed", model.seed),
            tools=[] if choice == "none" else [convert_to_openai_tool(tool) for tool in given.get("tools", ())],
        )


def _stop_check(base: "Base", stop: Sequence[str]) -> Callable[[Sequence[int]], bool]:
    """Whether a completion's text holds one of the stop texts."""
    return lambda ids: any(text in base.tokenizer.decode(ids) for text in stop)


def _before(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first stop text."""
    return text[: min((text.find(end) for end in stop if end in text), default=len(text))]
