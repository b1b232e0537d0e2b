"""The body of `/v1/completions`: every parameter that OpenAI documents is taken, refused or ignored here."""

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from langgraph_ratchet.serving.openai.errors import bad_request
from langgraph_ratchet.serving.openai.parameters import Asked, refuse


class CompletionRequest(Asked):
    """The body of `/v1/completions`."""

    prompt: Any = None
    max_tokens: Annotated[int, Field(ge=1)] = 16
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    suffix: Annotated[Any, refuse("the models of this server cannot fill in before a suffix")] = None

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _default_if_null(cls, value: Any) -> Any:
        return 16 if value is None else value

    @model_validator(mode="after")
    def _fits(self) -> "CompletionRequest":
        if self.echo and self.logprobs is not None:
            raise PydanticCustomError("unsupported", "log-probabilities of the prompt are not told: leave echo out")
        if self.best_of is not None and (self.stream or self.best_of < (self.n or 1)):
            raise PydanticCustomError("invalid_value", "best_of is at least n, and not for streams")
        return self

    def prompts(self) -> list[str | list[int]]:
        """The prompts, each a text or token ids. Raises a `RequestError` (400) for anything else."""
        given = self.prompt
        if isinstance(given, str) or _are_ids(given):
            return [given]
        if isinstance(given, list) and given and all(isinstance(each, str) or _are_ids(each) for each in given):
            return given
        raise bad_request(
            "give a text, a list of texts, token ids, or a list of lists of them", "prompt", "invalid_type"
        )


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)
