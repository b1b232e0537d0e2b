"""One call of a chat model, exactly as it was made."""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.core.origin import Origin


class Fingerprint(Noun):
    """The parts that must be equal, by hash, before token ids may be trained on."""

    base: str
    """SHA-256 over the base model's weight files."""
    tokenizer: str
    """SHA-256 over the tokenizer."""
    template: str
    """SHA-256 of the chat template."""
    adapter: str | None = None
    """SHA-256 of the adapter's weights; `None` for the bare base. It tells which policy sampled the tokens and is
    not compared before training, which always starts from the base."""

    def same_base(self, other: "Fingerprint") -> bool:
        """Whether ids recorded under `other` mean the same under this one."""
        return (self.base, self.tokenizer, self.template) == (other.base, other.tokenizer, other.template)


class Tokens(Noun):
    """The ids that the model saw and produced. `completion_ids` and `logprobs` have equal length."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    """What the model produced, its end-of-turn token included when it gave one."""
    logprobs: tuple[float, ...]
    """Natural-log probability of each completion token under the model's own distribution (temperature 1, no
    truncation), whatever the sampling was."""
    fingerprint: Fingerprint

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.completion_ids) != len(self.logprobs):
            raise ValueError(f"{len(self.completion_ids)} completion ids but {len(self.logprobs)} logprobs")
        return self


class Sampling(Noun):
    """How a reply was drawn."""

    temperature: float | None = None
    """0 is greedy; `None`: the model's own default, not known to us."""
    seed: int | None = None
    max_tokens: int | None = None


class Usage(Noun):
    """Tokens that a call took, as its model counted them."""

    input_tokens: int
    output_tokens: int

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


class CallKey(Noun):
    """The idempotency key: LangGraph runs a node at least once, so a call is known by where it happened."""

    run_id: str
    """The trace's id."""
    task_id: str
    """LangGraph's id of the node execution; the same when a killed run is resumed."""
    index: int
    """Position of the call within the node execution, from 0."""
    attempt: int = 1
    """LangGraph's attempt number, from 1; a process that resumes counts on from what the store holds."""


class Call(Stored):
    """One request to a chat model and its reply."""

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2  # 2: origins, model, provider, redactions

    id: str
    key: CallKey
    node: str
    """Node of the reasoning graph that asked: `plan`, `select_strategy`, `act`, `synthesize` or `self_check`."""
    revision: int = 0
    """How often the run had been revised when the call was made; self-checks that reject start the next."""
    messages: tuple[dict[str, Any], ...]
    """Exactly what was sent, in OpenAI's message shape."""
    origins: tuple[tuple[Origin, ...], ...] = ()
    """Who wrote what stands in each message: one for each part, in their order; where a graph composed a text of
    several, each once. Empty when the recorder was not told."""
    tools: tuple[dict[str, Any], ...] = ()
    """Tools that were offered, in OpenAI's shape."""
    reply: dict[str, Any] | None
    """The reply in OpenAI's message shape; `None` when the call failed."""
    model: str | None = None
    """The model that was called, as it identifies itself; `None`: the trace's."""
    provider: str | None = None
    """Who ran the model, as LangChain names it (`openai`, `anthropic`, `ollama`, ...); `None`: not known."""
    sampling: Sampling = Field(default_factory=Sampling)
    usage: Usage | None = None
    """`None` when the model did not report it."""
    seconds: float
    """Wall time of the call, waiting in the batch included."""
    error: str | None = None
    tokens: Tokens | None = None
    """Token ids and log-probabilities; `None` when the model does not give them, or something was redacted."""
    redactions: tuple[str, ...] = ()
    """The placeholders (`<EMAIL_1>`) that stand for what was removed before this was stored."""
    reply_redacted: bool = False
    """Whether the model's own words hold such a placeholder; then nobody may learn from them."""

    @property
    def exact(self) -> bool:
        """Whether the very token ids are known."""
        return self.tokens is not None
