"""What every trainer promises, as checks: each takes a trainer and raises `ConformanceError`.

They train the pocket model for some steps on a few short examples, which takes seconds.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from langgraph_ratchet.core.conformance import require
from langgraph_ratchet.core.example import Dataset, Example
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.progress import Progress, silent
from langgraph_ratchet.training.job import Job, Lora
from langgraph_ratchet.training.trainers import Trainer

_FILES = {"adapter_model.safetensors", "adapter_config.json"}
_EXAMPLES = 12
_PROMPT = 10
"""Tokens of an example before its own ones begin."""
_OWN = 4
"""Tokens under the loss."""


class _StopError(Exception):
    """What a caller raises to end a training."""


def check_leaves_an_adapter(trainer: Trainer) -> None:
    """It leaves the adapter's files and nothing else, says how far it is, and gives what it measured."""
    told: list[Progress] = []
    with small_job(small_rows()) as job:
        statistics = trainer(job, told.append)
        found = {path.name for path in job.out.iterdir()} if job.out.is_dir() else set()
        require(found == _FILES, "trainer", f"leaves {sorted(_FILES)} in the output folder, nothing else", found)
        portable = str(job.out.parent) not in (job.out / "adapter_config.json").read_text(encoding="utf-8")
        require(portable, "trainer", "writes no path of this machine into the adapter")
    require(isinstance(statistics, TrainingStatistics), "trainer", "gives TrainingStatistics", type(statistics))
    measured = (statistics.first_loss, statistics.last_loss, statistics.seconds)
    require(all(map(math.isfinite, measured)), "trainer", "measures losses and time", measured)
    require(0 < statistics.examples <= _EXAMPLES, "trainer", "counts the examples it learned from", statistics.examples)
    require(statistics.steps > 0 and statistics.tokens > 0, "trainer", "counts its steps and tokens", statistics)
    require(told and all(event.phase == "train" for event in told), "trainer", "says how far it is", told)
    require(told[-1].done == told[-1].total, "trainer", "says so when it is done", told[-1])


def check_equal_jobs_give_equal_adapters(trainer: Trainer) -> None:
    """Equal jobs give equal adapters; another dataset gives another one."""
    first, again, other = (_trained(trainer, rows) for rows in (small_rows(), small_rows(), small_rows(own=9)))
    require(first == again, "trainer", "equal jobs give equal adapters")
    require(first != other, "trainer", "learns from the tokens under the loss")


def check_only_own_tokens_are_learned(trainer: Trainer) -> None:
    """What follows the last token under the loss is neither learned nor seen: it changes nothing."""
    one, other = (_trained(trainer, small_rows(tail=tail)) for tail in (20, 33))
    require(one == other, "trainer", "learns nothing from tokens that are not under the loss")


def check_stops_on_request(trainer: Trainer) -> None:
    """What the progress callback raises ends the training; it reaches the caller, and no adapter is left."""

    def stop(event: Progress) -> None:
        raise _StopError

    with small_job(small_rows()) as job:
        try:
            trainer(job, stop)
        except _StopError:
            require(not job.out.exists(), "trainer", "leaves no adapter when it is stopped")
            return
    require(False, "trainer", "passes on what the progress callback raises")


def small_rows(own: int = 7, tail: int = 20) -> list[tuple[list[int], list[int]]]:
    """Ids and loss masks: a prompt of its own each, the tokens `own` under the loss, and two tokens after them."""
    rows = []
    for number in range(_EXAMPLES):
        ids = [30 + (number * 7 + at) % 50 for at in range(_PROMPT)] + [own] * _OWN + [tail, tail]
        rows.append((ids, [0] * _PROMPT + [1] * _OWN + [0, 0]))
    return rows


def _trained(trainer: Trainer, rows: Sequence[tuple[list[int], list[int]]]) -> bytes:
    with small_job(rows) as job:
        trainer(job, silent)
        return (job.out / "adapter_model.safetensors").read_bytes()


@contextmanager
def small_job(rows: Sequence[tuple[list[int], list[int]]]) -> Iterator[Job]:
    """A small job in a folder that is gone afterwards."""
    from langgraph_ratchet.chat_models.base import load_base

    examples = tuple(
        Example(
            id=f"example_{number:02}",
            trace_id=f"trace_{number}",
            call_id=f"call_{number}",
            node="act",
            question_type="mathematical",
            input_ids=tuple(ids),
            loss_mask=tuple(mask),
            weight=1.0,
            quality=0.5 + number / 100,
            verified=True,
            source="conformance",
        )
        for number, (ids, mask) in enumerate(rows)
    )
    dataset = Dataset(examples=examples, fingerprint=load_base("pocket").fingerprint, dropped=())
    with tempfile.TemporaryDirectory(prefix="ratchet-trainer-") as folder:
        path = Path(folder) / "dataset.json"
        path.write_text(dataset.model_dump_json(), encoding="utf-8")
        yield Job(
            base="pocket", dataset=path, out=Path(folder) / "adapter", lora=Lora(rank=2), epochs=2, batch_tokens=64
        )


CHECKS: tuple[Callable[[Trainer], None], ...] = (
    check_leaves_an_adapter,
    check_equal_jobs_give_equal_adapters,
    check_only_own_tokens_are_learned,
    check_stops_on_request,
)
