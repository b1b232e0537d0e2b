"""A model version: an adapter, what it was made from, and the hash of every file in it."""

from typing import Any

from pydantic import Field

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.noun import Noun, Stored


class TrainingStatistics(Noun):
    """What a training job measured of itself."""

    examples: int
    examples_by_type: dict[str, int] = Field(default_factory=dict)
    mean_quality: float | None = None
    seconds: float
    epochs: float
    steps: int
    """Optimizer steps."""
    tokens: int
    """Tokens seen, padding left out, over all epochs."""
    first_loss: float
    """Mean loss over the first epoch, nats per token under the loss."""
    last_loss: float
    """Mean loss over the last epoch, nats per token under the loss."""
    losses: tuple[float, ...] = ()
    """Mean loss over each of up to 60 equal parts of the training, in their order; empty when it was not kept."""


class ModelVersion(Stored):
    """One entry of the registry."""

    id: str
    base: str
    """Name or path that the base model resolves by."""
    parent: str | None
    """Version that practised to make the data; `None` for the bare base."""
    dataset_hash: str
    trace_ids: tuple[str, ...] = ()
    """Every trace that an example of the dataset came from."""
    fingerprint: Fingerprint
    files: dict[str, str]
    """File name to SHA-256."""
    capabilities: tuple[str, ...] = ()
    training: TrainingStatistics | None = None
    """`None` for an adapter that was imported."""
    created_at: float
    """Unix time, seconds."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """The training job's arguments, as JSON."""
