"""The job file: everything a training process is told."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import content_hash, file_hash
from langgraph_ratchet.core.noun import Noun, Stored


class Lora(Noun):
    """Shape of the adapter."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    """The adapter's output is scaled by `alpha / rank`."""
    target: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get an adapter; `all-linear` is every linear layer but the vocabulary projection."""


class Job(Stored):
    """One adapter to train. Relative paths are relative to the directory that the process runs in."""

    trainer: str = "sft"
    """Name of what trains it: a file in `training/trainers/`, or another package's entry point."""
    base: str
    """Name of the base model, as `load_base` takes it. Training always starts from it, never from an adapter."""
    dataset: Path
    """A `Dataset` as JSON."""
    out: Path
    """Folder of the finished adapter: there whole or not at all; one that an earlier run left is replaced."""
    lora: Lora = Field(default_factory=Lora)
    lr: float = Field(1e-3, gt=0)
    """Highest learning rate."""
    warmup: float = Field(0.05, ge=0, le=1)
    """Share of the steps in which the learning rate rises; it then falls along a cosine to a twentieth."""
    epochs: int = Field(3, ge=1)
    max_steps: int | None = Field(None, ge=1)
    """Optimizer steps after which training ends, if that is before the last epoch does."""
    batch_tokens: int = Field(2048, ge=1)
    """Tokens of one optimizer step, padding included; one example at least."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Longer gradients are shortened to this."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the computation; the adapter's own weights are float32. `auto` takes bfloat16 where it is known to be
    faster: on a GPU, and on a CPU with bfloat16 instructions for a base of 10 M parameters or more."""
    seed: int = 0
    checkpoint_every_s: float = Field(30.0, ge=0)
    """Seconds between checkpoints; 0 makes one after every step."""

    @property
    def hash(self) -> str:
        """Of all that decides the adapter: the settings and the dataset, which names the base by its hash.

        Raises:
            BadInputError: the dataset cannot be read.
        """
        settings = self.model_dump(mode="json", exclude={"dataset", "out", "checkpoint_every_s"})
        try:
            return content_hash([settings, file_hash(self.dataset)])
        except OSError as error:
            raise BadInputError(f"no dataset could be read from {self.dataset}: {error}") from error

    @property
    def checkpoints(self) -> Path:
        """Where this job's checkpoints lie: beside `out`, apart from those of every other job. Raises like `hash`."""
        return self.out.with_name(f"{self.out.name}.checkpoints") / self.hash[:16]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a job file.

        Raises:
            BadInputError: there is none, or it is not a job.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise BadInputError(f"{path} is not a training job: {error}") from error

    def write(self, path: Path) -> None:
        """Writes the job file."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
