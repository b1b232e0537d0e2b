"""One call's arguments: what `invoke`, `bind` or `stream` were given over the fields of the model, all checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from langgraph_ratchet.chat_models.text.render import to_template_tools
from langgraph_ratchet.core.errors import BadInputError

_WITHOUT_MEANING = frozenset(
    "metadata prediction prompt_cache_key prompt_cache_retention reasoning_effort safety_identifier service_tier store "
    "stream stream_options stream_usage strict structured_output_format user verbosity".split()
)
"""Arguments of OpenAI's API and of LangChain that change nothing here and are taken all the same."""
_NEAR_ZERO = 1e-5
"""Temperatures below are greedy: logits divided by less leave the range of numbers."""

StopText = Annotated[str, StringConstraints(min_length=1)]


class SamplingFields(BaseModel):
    """How replies are drawn: fields of the model, and keyword arguments of each call."""

    temperature: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Draws from the likeliest tokens that together have this probability."""
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    """Taken once from the logit of every token that the reply holds already."""
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    """Taken from a token's logit for each time that the reply holds it."""
    logit_bias: dict[int, Annotated[float, Field(ge=-100.0, le=100.0)]] | None = None
    """Added to the logits of these token ids."""
    seed: int | None = None
    """The same seed and prompt give the same reply; `None` draws a seed for each call."""
    max_tokens: int = Field(default=256, ge=1)
    stop: list[StopText] | None = None
    """A reply ends before the first of these texts; what is in tool calls or constrained JSON is not looked at."""
    n: int = Field(default=1, ge=1, le=128)
    """Replies to each prompt; `generate` gives all, `invoke` and streams the first."""
    logprobs: bool = False
    """Whether `response_metadata` tells each token's log-probability."""
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """How many of the likeliest tokens to tell at each place."""
    timeout: float | None = Field(default=None, gt=0.0)
    """Seconds that a reply may take, waiting included; `None` waits for ever."""
    max_retries: int = Field(default=0, ge=0)
    """How often a call asks again, after a pause, when the engine's queue is full."""


class _Given(SamplingFields):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str
    adapter: str | None = None
    parallel_tool_calls: bool = True


@dataclass(frozen=True)
class ReplyFormat:
    """JSON that the reply must be."""

    schema: dict[str, Any] | None
    """`None`: any JSON object."""


@dataclass(frozen=True)
class Arguments:
    """The checked arguments of one call."""

    model: str
    adapter: str | None
    sampling: SamplingFields
    stop: tuple[str, ...]
    tools: list[dict[str, Any]]
    """In OpenAI's shape; those that the prompt shows."""
    choice: str
    """"auto", "none", "any" or the name of the tool that must be called."""
    parallel: bool
    """Whether a reply may hold several calls."""
    format: ReplyFormat | None

    @classmethod
    def of(cls, fields: BaseModel, stop: Sequence[str] | str | None, given: Mapping[str, Any]) -> "Arguments":
        """The arguments in `given`, and the model's fields where it says nothing or `None`.

        Args:
            fields: the chat model.
            stop: texts that end the reply; `None` takes the model's.
            given: the keyword arguments of the call.

        Raises:
            BadInputError: an argument is not known, or cannot be used.
        """
        named = {name: value for name, value in given.items() if value is not None and name not in _WITHOUT_MEANING}
        named = {name: value for name, value in named.items() if not name.startswith("ls_")}
        if stop is not None:
            named["stop"] = stop
        tools = _tools(named.pop("tools", None) or ())
        choice = _choice(named.pop("tool_choice", None), tools)
        reply_format = _format(named.pop("response_format", None))
        checked = _checked({name: getattr(fields, name) for name in _SHARED} | named)
        return cls(
            model=checked.model,
            adapter=checked.adapter,
            sampling=checked,
            stop=tuple(checked.stop or ()),
            tools=[] if choice == "none" else tools,
            choice=choice,
            parallel=checked.parallel_tool_calls,
            format=reply_format,
        )

    @property
    def forced(self) -> bool:
        """Whether the reply must be a tool call."""
        return self.choice not in ("auto", "none")

    @property
    def temperature(self) -> float:
        """The temperature to draw at."""
        return self.sampling.temperature if self.sampling.temperature >= _NEAR_ZERO else 0.0


_SHARED = (*SamplingFields.model_fields, "model", "adapter")
_KNOWN = sorted({*_Given.model_fields, "tools", "tool_choice", "response_format"})


def _checked(values: dict[str, Any]) -> _Given:
    if unknown := sorted(values.keys() - set(_KNOWN)):
        raise BadInputError(f"unknown argument {unknown[0]!r} of a chat model's call; known: {', '.join(_KNOWN)}")
    if isinstance(values["stop"], str):
        values["stop"] = [values["stop"]]
    elif isinstance(values["stop"], (tuple, set)):
        values["stop"] = list(values["stop"])
    if isinstance(values["logit_bias"], dict):
        # In JSON the keys are texts.
        values["logit_bias"] = {_token(key): value for key, value in values["logit_bias"].items()}
    try:
        checked = _Given.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name, *where = first["loc"]
        at = "".join(f"[{part!r}]" for part in where if part != "[key]")
        wanted = first["msg"][0].lower() + first["msg"][1:]
        raise BadInputError(f"{name}{at}={_short(first['input'])} cannot be used: {wanted}") from error
    if checked.top_logprobs is not None and not checked.logprobs:
        raise BadInputError(f"top_logprobs={checked.top_logprobs} needs logprobs=True")
    return checked


def _token(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isdecimal() and key.isascii() else key


def _tools(tools: Any) -> list[dict[str, Any]]:
    if not isinstance(tools, (list, tuple)):
        raise BadInputError(f"tools={_short(tools)} cannot be used: give a list")
    try:
        converted = to_template_tools(tools) or []
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInputError(f"one of the tools cannot be used: {error}") from error
    names = [tool["function"].get("name") for tool in converted]
    for name in names:
        if not isinstance(name, str) or not name:
            raise BadInputError(f"a tool has the name {name!r}: give a text that is not empty")
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadInputError(f"two tools have the name {min(twice)!r}: a call could mean either; rename one")
    return converted


def _choice(choice: Any, tools: Sequence[dict[str, Any]]) -> str:
    """What may be called: "auto", "none", "any" or a tool's name."""
    names = [tool["function"]["name"] for tool in tools]
    if choice is None or choice is False or choice in ("auto", "none"):
        return choice or "auto"
    if isinstance(choice, dict):
        function = choice.get("function")
        choice = function.get("name") if isinstance(function, dict) else choice.get("name", choice)
    wanted = "any" if choice is True or choice in ("any", "required") else choice
    if not isinstance(wanted, str) or (wanted != "any" and wanted not in names):
        known = ", ".join(["auto", "none", "any", *names])
        raise BadInputError(f"tool_choice={_short(choice)} cannot be used; known: {known}")
    if not names:
        raise BadInputError(f"tool_choice={choice!r} asks for a tool call and no tools are offered: give tools")
    return wanted


def _format(given: Any) -> ReplyFormat | None:
    if given is None:
        return None
    if isinstance(given, type):
        return ReplyFormat(convert_to_json_schema(given))
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return ReplyFormat(None)
    if kind == "json_schema":
        named = given.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        if not isinstance(schema, dict):
            raise BadInputError(f"response_format={_short(given)} has no schema: give json_schema={{'schema': …}}")
        return ReplyFormat(schema)
    if isinstance(given, dict) and given.keys() & {"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum"}:
        return ReplyFormat(given)
    raise BadInputError(
        f"response_format={_short(given)} cannot be used: give a type of text, json_object or json_schema, "
        "a pydantic class, or a JSON schema"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
