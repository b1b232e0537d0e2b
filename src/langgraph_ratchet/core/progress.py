"""Progress of long work, as one small event."""

from collections.abc import Callable

from langgraph_ratchet.core.noun import Noun


class Progress(Noun):
    """How far a phase has come."""

    phase: str
    """`diagnose`, `roll_out`, `train`, ..."""
    done: int
    total: int | None = None
    """`None` when not known in advance."""
    round: int | None = None
    epoch: float | None = None
    loss: float | None = None
    """Nats per token under the loss."""
    accuracy: float | None = None
    weak_types: tuple[str, ...] = ()
    """Question types on which the model does worse than on the whole, weakest first."""
    message: str = ""


OnProgress = Callable[[Progress], None]
"""What long work calls as it goes on; it must be quick and must not raise."""


def silent(progress: Progress) -> None:
    """An `OnProgress` that ignores what it is told."""
