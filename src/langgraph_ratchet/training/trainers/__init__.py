"""The trainers, one file each, with a function `train(job, on_progress)` that leaves an adapter in `job.out`.

Other packages offer such functions as entry points in the group `langgraph_ratchet.trainers`. A job names its trainer,
which is imported in the training process only.
"""

from collections.abc import Callable
from typing import Any

from langgraph_ratchet.core.errors import TrainingFailedError
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.plugins import Kind
from langgraph_ratchet.core.progress import OnProgress, silent
from langgraph_ratchet.training.job import Job

__all__ = ["TRAINERS", "Trainer", "train", "trainer_names"]

Trainer = Callable[[Job, OnProgress], TrainingStatistics]
"""Trains the job's adapter in the process that calls it, and leaves it in `job.out` whole or not at all.

It tells `on_progress` how far it is. What `on_progress` raises ends the training: it reaches the caller, and no adapter
is left.
"""

_ADAPTER = ("adapter_model.safetensors", "adapter_config.json")


def _is_trainer(name: str, function: Any) -> Trainer:
    if not callable(function):
        raise TypeError(f"it is a {type(function).__name__}")
    found: Trainer = function
    return found


TRAINERS = Kind(
    noun="trainer",
    folder=__name__,
    group="langgraph_ratchet.trainers",
    attribute="train",
    wanted="a function of a job and a progress callback that trains an adapter",
    accept=_is_trainer,
)
"""Where trainers are found."""


def trainer_names() -> tuple[str, ...]:
    """Names of all trainers, the built-in ones and those of other packages, sorted."""
    return TRAINERS.names()


def train(job: Job, on_progress: OnProgress = silent) -> TrainingStatistics:
    """Runs the trainer that the job names, in this process.

    Raises:
        UnknownNameError: there is no such trainer.
        PluginError: another package's trainer cannot be used.
        TrainingFailedError: it ended without an adapter or without statistics; or another reason of its own.
    """
    statistics = TRAINERS.load(job.trainer)(job, on_progress)
    missing = [name for name in _ADAPTER if not (job.out / name).is_file()]
    if missing or not isinstance(statistics, TrainingStatistics):
        raise TrainingFailedError(
            f"the trainer {job.trainer!r} ended and gave {type(statistics).__name__}, not TrainingStatistics"
            if not missing
            else f"the trainer {job.trainer!r} ended without {' and '.join(missing)} in {job.out}"
        )
    return statistics
