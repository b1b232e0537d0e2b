"""The body of `/v1/chat/completions`: every parameter that OpenAI documents is taken, refused or ignored here."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from langgraph_ratchet.serving.openai.parameters import Asked, Body, Ignored, refuse

_NAME = r"^[a-zA-Z0-9_-]{1,64}$"


class Function(Body):
    """A function that the model may call."""

    name: Annotated[str, Field(pattern=_NAME)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Body):
    """A tool that the model may call."""

    custom: Annotated[Any, refuse("custom tools are not supported: offer functions")] = None
    type: Literal["function"]
    function: Function

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name

    def as_json(self) -> dict[str, Any]:
        """The tool as LangChain's models are given it; a function without parameters takes none."""
        function = self.function.model_dump(exclude_none=True)
        function.setdefault("description", "")
        function.setdefault("parameters", {"type": "object", "properties": {}})
        return {"type": "function", "function": function}


class JsonSchema(Body):
    """The schema that a reply must keep."""

    name: Annotated[str, Field(pattern=_NAME)]
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Body):
    """The form of the reply."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise PydanticCustomError("missing", "json_schema is given exactly if the type is 'json_schema'")
        return self

    def as_json(self) -> dict[str, Any]:
        """The format as chat models are given it."""
        return self.model_dump(exclude_none=True, by_alias=True)


class Extension(Body):
    """What this server gives beyond OpenAI's, on request."""

    trace: bool = False
    """Whether the reasoner's reply is to hold the trace of its run."""


class ChatRequest(Asked):
    """The body of `/v1/chat/completions`."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    ratchet: Extension | None = None

    functions: Annotated[Any, refuse("functions are outdated: give tools")] = None
    function_call: Annotated[Any, refuse("function_call is outdated: give tool_choice")] = None
    audio: Annotated[Any, refuse("the models of this server write text only")] = None
    modalities: list[Literal["text"]] | None = None
    web_search_options: Annotated[Any, refuse("this server searches the web only as a tool of the reasoner's")] = None
    moderation: Annotated[Any, refuse("this server does not moderate")] = None
    store: Annotated[Literal[False] | None, Field(description="Nothing is kept for later retrieval.")] = None

    metadata: Ignored = None
    safety_identifier: Ignored = None
    service_tier: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_retention: Ignored = None
    prompt_cache_options: Ignored = None
    prediction: Ignored = None
    verbosity: Ignored = None
    reasoning_effort: Ignored = None

    @model_validator(mode="after")
    def _fits(self) -> "ChatRequest":
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise PydanticCustomError("invalid_value", "max_tokens and max_completion_tokens differ: give one")
        if self.top_logprobs is not None and not self.logprobs:
            raise PydanticCustomError("invalid_value", "top_logprobs is only for logprobs=true")
        names = [tool.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise PydanticCustomError("invalid_value", "two tools have the same name")
        return self

    @property
    def most_tokens(self) -> int | None:
        """Most tokens of one choice."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
