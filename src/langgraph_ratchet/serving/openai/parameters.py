"""What the bodies of requests have in common: kinds of parameters, sampling, and how a wrong one is told.

A parameter that would change the answer and cannot be kept is refused with a 400; one that is only a hint, or only says
who asks, is ignored. A name that OpenAI does not know is refused too: a misspelt parameter must not pass silently.
"""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from langgraph_ratchet.serving.openai.errors import RequestError, bad_request

B = TypeVar("B", bound="Body")

_CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "unsupported_parameter": "unsupported_parameter",
    "greater_than_equal": "below_min_value",
    "greater_than": "below_min_value",
    "less_than_equal": "above_max_value",
    "string_too_short": "empty_string",
    "string_too_long": "string_above_max_length",
    "too_short": "empty_array",
    "too_long": "array_above_max_length",
}


class Body(BaseModel):
    """An object of a request, with all the names that it may have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def refuse(why: str) -> BeforeValidator:
    """For a parameter that may be null only; a client that gives it is told why."""

    def refused(value: Any) -> Any:
        if value is None:
            return None
        raise PydanticCustomError("unsupported_parameter", "{why}", {"why": why})

    return BeforeValidator(refused)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _biases(value: dict[str, float] | None) -> dict[str, float] | None:
    for token, bias in (value or {}).items():
        if not (token.isascii() and token.isdecimal() and len(token) < 10 and -100 <= bias <= 100):
            said = {"token": token, "bias": bias}
            raise PydanticCustomError(
                "invalid_value", "{token}: {bias} is not a token id with a bias from -100 to 100", said
            )
    return value


Stop = Annotated[list[Annotated[str, Field(min_length=1)]] | None, Field(max_length=4), BeforeValidator(_as_list)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Biases = Annotated[dict[str, float] | None, AfterValidator(_biases)]
Ignored = Annotated[Any, Field(exclude=True)]
"""Taken in any form, and without effect."""


class StreamOptions(Body):
    """Of a stream."""

    include_usage: bool | None = None
    include_obfuscation: Ignored = None


class Asked(Body):
    """What chat and plain completions have in common."""

    model: Annotated[str, Field(min_length=1)]
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: Stop = None
    seed: Int64 | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Biases = None
    user: Ignored = None

    @model_validator(mode="after")
    def _options_of_a_stream(self) -> "Asked":
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("invalid_value", "stream_options is only for stream=true")
        return self

    @property
    def with_usage(self) -> bool:
        """Whether a stream is to end with the tokens that it took."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def sampling(self) -> dict[str, Any]:
        """How to draw, as keyword arguments for a chat model: only what was given, so that its own defaults hold."""
        names = ("seed", "temperature", "top_p", "presence_penalty", "frequency_penalty")
        chosen = {name: value for name in names if (value := getattr(self, name)) is not None}
        if chosen.get("top_p") == 0:  # which of all shares is never reached: the likeliest token alone
            chosen["top_p"] = 1e-6
        if self.logit_bias:
            chosen["logit_bias"] = {int(token): bias for token, bias in self.logit_bias.items()}
        return chosen


def read_parameters(kind: type[B], body: dict[str, Any]) -> B:
    """The body as a `kind`. Raises a `RequestError` (400) that names the first parameter that is wrong."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise _refused(error) from None


def _path(parts: tuple[str | int, ...]) -> str:
    """A place in a body, as OpenAI writes it: `messages[0].role`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def _refused(error: ValidationError) -> RequestError:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    # A parameter that is not known explains the others that are missing.
    fault: ErrorDetails = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
    param = _path(fault["loc"]) or None
    code = _CODES.get(fault["type"], "invalid_type" if fault["type"].endswith("_type") else "invalid_value")
    if fault["type"] == "extra_forbidden":
        return bad_request(f"there is no parameter {param!r}", param, code)
    if fault["type"] == "missing" and param is not None:
        return bad_request(f"the parameter {param!r} is missing", param, code)
    return bad_request(f"{param}: {fault['msg']}" if param else fault["msg"], param, code)
