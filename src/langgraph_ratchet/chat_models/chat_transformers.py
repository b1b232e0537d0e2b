"""`ChatTransformers`: a LangChain chat model in this process that batches concurrent calls and keeps exact tokens."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langgraph_ratchet.chat_models.base import load_base, require_tools_in_template
from langgraph_ratchet.chat_models.calls.arguments import Arguments, SamplingFields
from langgraph_ratchet.chat_models.calls.arrivals import acompletions, completions
from langgraph_ratchet.chat_models.calls.call import Call
from langgraph_ratchet.chat_models.calls.completion import Prompt, TextCompletions, prompt_ids, text_arguments, text_ids
from langgraph_ratchet.chat_models.calls.identity import Identified, run_asking
from langgraph_ratchet.chat_models.calls.profile import profile_of
from langgraph_ratchet.chat_models.calls.reply import generation
from langgraph_ratchet.chat_models.calls.streaming import achunks, chunks
from langgraph_ratchet.chat_models.calls.structured import METHODS, json_output
from langgraph_ratchet.chat_models.text.render import render_prompt, require_tool_calling
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.registry import Registry

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.adapters import Adapter
    from langgraph_ratchet.chat_models.base import Base
    from langgraph_ratchet.chat_models.engine import Engine


class ChatTransformers(SamplingFields, TextCompletions, Identified, BaseChatModel):
    """A local chat model over transformers, with adapters of the registry.

    All instances on one base share one engine: calls that are made at the same time, from threads or from asyncio
    tasks, are generated in one batch. A call's draw depends on its seed and prompt, not on the calls beside it.

    Per call (`invoke`, `stream`, `bind`) the fields of sampling, `model` and `adapter` can be given anew, and `tools`,
    `tool_choice` ("auto", "none", "any" or "required", or a tool's name), `parallel_tool_calls` and `response_format`
    (as OpenAI's, or a pydantic class or JSON schema). A tool choice and a response format are kept by constrained
    decoding: whatever the model is, the reply has that form and is whole within `max_tokens`. OpenAI's arguments
    without a meaning here, such as `user`, are ignored; unknown ones are errors.

    The reply's `response_metadata` holds `model_name`, `model_version` (registry id or `None`), `finish_reason`
    ("stop", "length" or "tool_calls"), `tokens` (`core.call.Tokens` as JSON), and `logprobs` if they are asked for,
    in OpenAI's shape. Reasoning stands in `additional_kwargs["reasoning_content"]`.

    Example:
        >>> model = ChatTransformers(model="pocket", temperature=1.0, seed=7)

    Raises:
        UnknownNameError: on the first call, for a model or adapter that does not exist; it lists those that do.
        CorruptFileError: an adapter's file is not what it was when it was registered.
        BadInputError: the prompt leaves no room in the context, or an argument cannot be used.
        ToolCallingError: tools are bound and the model's template cannot render them.
        OverloadedError: as many calls wait for the engine as may.
        GenerationError: the reply took longer than `timeout`, or the engine failed.
    """

    model: str = "pocket"
    """`pocket`, a folder, `local:PATH`, or a model of the Hugging Face hub (`hf:ID`)."""
    adapter: str | None = None
    """Version id, a unique beginning of one, `champion`, or a folder; `None` is the bare base. `champion` is looked up
    at each call, so that a promotion takes effect in a running app."""
    registry: Path | None = None
    """Folder of the registry; `None` takes `MODEL_SAVE_PATH`."""
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
        return self._base(self.model)

    @property
    def engine(self) -> "Engine":
        """The engine that generates for this model."""
        return self._engine(self.base)

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

        Args:
            tools: anything that LangChain takes for a tool.
            tool_choice: what may be called; see the class.
            kwargs: further arguments of the calls.

        Raises:
            ToolCallingError: the chat template takes no tools. Whether calls can be read is seen by the first call.
        """
        require_tools_in_template(self.model)
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: str = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model made to give objects of `schema`, which constrained decoding guarantees.

        Args:
            schema: a pydantic class, a `TypedDict`, or a JSON schema.
            method: "function_calling" shows the schema to the model as a tool and has it called; "json_schema" has the
                reply itself written as JSON; "json_mode" does the same, and without a schema takes any JSON object.
            include_raw: whether to give `raw`, `parsed` and `parsing_error` instead of the object alone.
            strict: taken for the sake of other models; the schema is always kept to.
            kwargs: there are no others.

        Raises:
            BadInputError: there is no such method, or it needs a schema.
        """
        if method not in METHODS:
            raise BadInputError(f"unknown method {method!r} of structured output; known: {', '.join(METHODS)}")
        if method == "function_calling" and schema is not None:
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if kwargs:
            raise BadInputError(
                f"unknown argument {min(kwargs)!r} of structured output; known: method, include_raw, strict"
            )
        return json_output(self, schema, method=method, include_raw=include_raw)

    def get_token_ids(self, text: str) -> list[int]:
        """Ids of a text as it stands in a message, where nothing in it is a control token."""
        return text_ids(self.base.tokenizer, text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Tokens of the prompt that these messages are rendered to."""
        return len(render_prompt(self.base.tokenizer, messages, tools))

    @property
    def _llm_type(self) -> str:
        return "ratchet-transformers"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "ratchet"
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self.model, self.max_tokens)

    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        # Whoever listens to tokens has LangChain ask for a stream, which has one reply: several are made at once.
        if (kwargs.get("n") or self.n) > 1 and not kwargs.get("stream"):
            return False
        return super()._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)

    def _should_use_protocol_streaming(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        if (kwargs.get("n") or self.n) > 1:
            return False
        return super()._should_use_protocol_streaming(async_api=async_api, run_manager=run_manager, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._prepare(messages, stop, run_asking(run_manager), kwargs)
        return ChatResult(generations=[generation(call, completion) for completion in completions(call)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Loading a model, reading an adapter and rendering must not hold up the event loop.
        call, done = await acompletions(partial(self._prepare, messages, stop, run_asking(run_manager), kwargs))
        return ChatResult(generations=[generation(call, completion) for completion in done])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._prepare(messages, stop, run_asking(run_manager), kwargs)
        with closing(chunks(call, blocks=self.output_version == "v1")) as source:
            for chunk in source:
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        prepare = partial(self._prepare, messages, stop, run_asking(run_manager), kwargs)
        async with aclosing(achunks(prepare, blocks=self.output_version == "v1")) as source:
            async for chunk in source:
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _prepare(
        self, messages: list[BaseMessage], stop: list[str] | None, run: str | None, kwargs: dict[str, Any]
    ) -> Call:
        arguments = Arguments.of(self, stop, kwargs)
        base = self._base(arguments.model)
        if arguments.tools:
            require_tool_calling(base.tokenizer, arguments.model)
        rendered = tuple(render_prompt(base.tokenizer, messages, arguments.tools))
        return self._call(arguments, base, rendered, run)

    def _text_call(self, prompt: Prompt, given: dict[str, Any]) -> Call:
        arguments = text_arguments(self, given)
        base = self._base(arguments.model)
        return self._call(arguments, base, prompt_ids(base, prompt), run_asking(None), chat=False)

    def _call(
        self, arguments: Arguments, base: "Base", ids: tuple[int, ...], run: str | None, *, chat: bool = True
    ) -> Call:
        adapter = self._resolve(arguments.adapter)
        return Call(arguments, self._engine(base), adapter, ids, self.max_batch, run, chat)

    def _identify(self, given: dict[str, Any]) -> dict[str, Any]:
        model, adapter_name = given.get("model") or self.model, given.get("adapter") or self.adapter
        for name, value in (("model", model), ("adapter", adapter_name)):
            if not isinstance(value, str | None):
                raise BadInputError(f"{name}={value!r} cannot be used: give a name")
        base, adapter = self._base(model), self._resolve(adapter_name)
        return {
            "model_name": model,
            "base": base.fingerprint.base,
            "template": base.fingerprint.template,
            "adapter_hash": adapter.hash if adapter else None,
            "dtype": self.dtype,
            "deterministic": self.deterministic,
        } | {name: getattr(self, name) for name in SamplingFields.model_fields}

    def _base(self, model: str) -> "Base":
        return load_base(model, dtype=self.dtype, device=self.device)

    def _engine(self, base: "Base") -> "Engine":
        from langgraph_ratchet.chat_models.engine import engine_of

        return engine_of(base, deterministic=self.deterministic)

    def _resolve(self, adapter: str | None) -> "Adapter | None":
        if adapter is None:
            return None
        from langgraph_ratchet.chat_models.adapters import resolve_adapter  # loads torch

        return resolve_adapter(adapter, Registry(self.registry or Settings().model_save_path))
