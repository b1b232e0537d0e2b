"""Training examples and the dataset that holds them."""

from typing import Any, Self

from pydantic import Field, model_validator

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.core.noun import Noun, Stored


class Example(Noun):
    """One call made into one training sample: token ids, and which of them are under the loss."""

    id: str
    trace_id: str
    call_id: str
    node: str
    question_type: str | None
    input_ids: tuple[int, ...]
    """Prompt and completion, exactly as the model saw and produced them."""
    loss_mask: tuple[int, ...]
    """1 where the model's own tokens are learned, else 0; as long as `input_ids`."""
    weight: float
    """The call's share of its run: the weights of one run sum to 1, so long runs do not dominate."""
    quality: float | None
    """Mean of the quality metrics; `None` when fewer than three were measured."""
    verified: bool
    source: str
    """Where the problem came from."""

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.input_ids) != len(self.loss_mask):
            raise ValueError(f"{len(self.input_ids)} input ids but a loss mask of {len(self.loss_mask)}")
        return self


class Drop(Noun):
    """How many traces or calls were left out for one reason."""

    reason: str
    """A short stable name: `wrong_answer`, `uniform_outcome`, `duplicate_path`, ..."""
    explanation: str
    """The reason in a sentence."""
    count: int
    unit: str
    """What is counted: `traces`, `calls` or `problems`."""


class Dataset(Stored):
    """What one training job learns from."""

    examples: tuple[Example, ...]
    fingerprint: Fingerprint
    """Base, tokenizer and template that every example was recorded with."""
    dropped: tuple[Drop, ...]
    decontamination: dict[str, Any] = Field(default_factory=dict)
    """Which suites the examples were checked against, and how many were excluded."""

    @property
    def hash(self) -> str:
        """Content hash over ids, masks and weights, in order of example id."""
        rows = sorted((item.id, item.input_ids, item.loss_mask, item.weight) for item in self.examples)
        return content_hash([self.fingerprint.model_dump(exclude={"adapter"}), rows])
