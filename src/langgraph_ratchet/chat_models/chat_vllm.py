"""`ChatVLLM`: a chat model behind a vLLM-type server that keeps the exact tokens of each call."""

import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import run_in_executor
from pydantic import Field, PrivateAttr, model_validator

from langgraph_ratchet.chat_models.base import base_fingerprint
from langgraph_ratchet.chat_models.wire_tokens import WireTokens, server_url
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError, MissingExtraError
from langgraph_ratchet.core.ids import content_hash

try:
    from langchain_openai import ChatOpenAI
except ImportError as error:
    raise MissingExtraError("ChatVLLM", "openai") from error

_log = logging.getLogger(__name__)


class ChatVLLM(ChatOpenAI):
    """`ChatOpenAI` that asks the server for `return_token_ids` and log-probabilities, as vLLM documents them.

    A reply's `response_metadata` holds `exact`: `True` with `tokens` (`core.call.Tokens` as JSON), or `False` with
    `inexact_reason` where the server gives no ids, or ids and log-probabilities do not fit together; that is also
    logged, once. With `n` > 1 each generation has its own tokens. The server must report log-probabilities before
    temperature and truncation (vLLM's `--logprobs-mode raw_logprobs`, its default).

    The key is `VLLM_API_KEY` or the field `api_key`; `OPENAI_API_KEY` is never sent to such a server.

    Example:
        >>> model = ChatVLLM(model="Qwen/Qwen3-0.6B", base_url="http://localhost:8000/v1", base="hf:Qwen/Qwen3-0.6B")

    Raises:
        BadInputError: there is no address of a server, or it is none.
    """

    base: str | None = None
    """The local name (`pocket`, `local:PATH`, `hf:ID`) of the base model that the server runs: its hashes go into the
    fingerprint, so that calls may be trained on. `None`: the fingerprint names server and model and equals no base."""
    adapter_hash: str | None = None
    """SHA-256 of the weights of the adapter that the server calls `model`, where that is known."""
    stream_usage: bool | None = True
    """Whether a stream ends with its usage; without it nobody sees whether tokens are missing."""
    use_responses_api: bool | None = Field(default=False)
    """vLLM gives token ids by chat completions."""
    _told: set[str] = PrivateAttr(default_factory=set)

    @model_validator(mode="before")
    @classmethod
    def _of_this_server(cls, values: Any) -> Any:
        given = dict(values)
        url = given.pop("openai_api_base", None) or given.pop("base_url", None)
        if not isinstance(url, str):
            raise BadInputError(f"ChatVLLM needs base_url, the address of the server; got {url!r}")
        given["base_url"] = server_url(url)
        if not (given.get("api_key") or given.get("openai_api_key")):
            given["api_key"] = os.environ.get("VLLM_API_KEY") or "EMPTY"
        return given

    @property
    def fingerprint(self) -> Fingerprint:
        """What the tokens of a call mean: see `base`."""
        if self.base is not None:
            return base_fingerprint(self.base).model_copy(update={"adapter": self.adapter_hash})
        served = content_hash({"server": self.openai_api_base, "model": self.model_name})
        return Fingerprint(base=served, tokenizer=served, template=served, adapter=self.adapter_hash)

    @property
    def _llm_type(self) -> str:
        return "ratchet-vllm"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """No: LangChain would load it as the class that it extends."""
        return False

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # Two servers may have models of one name.
        return {**super()._identifying_params, "base_url": self.openai_api_base, "base": self.base}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": "vllm"}

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        payload["extra_body"] = {"return_token_ids": True, **(payload.get("extra_body") or {})}
        if payload.get("logprobs") is None:
            payload["logprobs"] = True
        return payload

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        whole = response if isinstance(response, dict) else response.model_dump(warnings=False)
        parts = WireTokens.of_choices(whole)
        for generation, choice, part in zip(result.generations, whole["choices"], parts, strict=True):
            # The parent class gives all of them the last one's.
            generation.generation_info = {
                **(generation.generation_info or {}),
                "finish_reason": choice.get("finish_reason"),
                "logprobs": choice.get("logprobs"),
            }
            message = generation.message
            _think(message, choice["message"])
            message.response_metadata |= self._exact(part)
        return result

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        if made is None:
            return None
        whole = chunk.get("chunk") or chunk  # with a response format the client wraps what the server sent
        told = _Chunk(message=made.message, generation_info=made.generation_info)
        told._part = WireTokens.of_chunk(whole)
        for choice in whole.get("choices") or ():
            _think(told.message, choice.get("delta") or {})
        return told

    def _get_generation_chunk_from_completion(self, completion: Any) -> ChatGenerationChunk:
        made = super()._get_generation_chunk_from_completion(completion)
        made.message.additional_kwargs.pop("reasoning_content", None)  # it was streamed
        return made

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._asked_for(super()._generate(messages, stop, run_manager, **kwargs), kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # The parent class makes the result in a thread, where files may be read.
        return self._asked_for(await super()._agenerate(messages, stop, run_manager, **kwargs), kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        parts: list[WireTokens] = []
        for chunk in super()._stream(messages, stop=stop, run_manager=run_manager, **kwargs):
            yield self._seen(chunk, parts, kwargs)
        last = self._end(parts)
        if run_manager:
            run_manager.on_llm_new_token("", chunk=last)
        yield last

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        parts: list[WireTokens] = []
        async for chunk in super()._astream(messages, stop=stop, run_manager=run_manager, **kwargs):
            yield self._seen(chunk, parts, kwargs)
        last = await run_in_executor(None, self._end, parts)  # the fingerprint reads files
        if run_manager:
            await run_manager.on_llm_new_token("", chunk=last)
        yield last

    def _seen(
        self, chunk: ChatGenerationChunk, parts: list[WireTokens], kwargs: Mapping[str, Any]
    ) -> ChatGenerationChunk:
        if isinstance(chunk, _Chunk) and chunk._part is not None:
            parts.append(chunk._part)
        if chunk.generation_info and not self._asks_logprobs(kwargs):
            chunk.generation_info.pop("logprobs", None)
        return chunk

    def _end(self, parts: Sequence[WireTokens]) -> ChatGenerationChunk:
        """The last chunk of a stream: what only the whole tells."""
        metadata = self._exact(WireTokens.joined(parts))
        return ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata=metadata))

    def _asked_for(self, result: ChatResult, kwargs: Mapping[str, Any]) -> ChatResult:
        for generation in () if self._asks_logprobs(kwargs) else result.generations:
            (generation.generation_info or {}).pop("logprobs", None)
        return result

    def _asks_logprobs(self, kwargs: Mapping[str, Any]) -> bool:
        return bool(kwargs.get("logprobs", self.logprobs))

    def _exact(self, tokens: WireTokens) -> dict[str, Any]:
        """What a reply's metadata says of its tokens."""
        if tokens.missing is None:
            return {"exact": True, "tokens": tokens.tokens(self.fingerprint).model_dump(mode="json")}
        if tokens.missing not in self._told:
            self._told.add(tokens.missing)
            _log.warning("calls of %r at %s are not exact: %s", self.model_name, self.openai_api_base, tokens.missing)
        return {"exact": False, "inexact_reason": tokens.missing}


class _Chunk(ChatGenerationChunk):
    """A chunk with its part of the tokens, which is told only when the whole is known."""

    _part: WireTokens | None = PrivateAttr(default=None)


def _think(message: BaseMessage, told: Mapping[str, Any]) -> None:
    """Keeps what the server parsed as thoughts, under the name that the local model uses."""
    thoughts = told.get("reasoning") or told.get("reasoning_content")
    if isinstance(thoughts, str):
        message.additional_kwargs["reasoning_content"] = thoughts
