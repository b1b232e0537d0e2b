"""A killed training job goes on from its last sound checkpoint, and ends with the adapter that it would have made."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from langgraph_ratchet.core.errors import TrainingFailedError
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.training.checkpoint import load_checkpoint, save_checkpoint
from langgraph_ratchet.training.job import Job, Lora
from langgraph_ratchet.training.sft import train_adapter

# PEFT asks transformers for an attribute by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

TENSORS, MARKER = "tensors.safetensors", "complete.json"
STOPPED_AT = 4


class Killed(Exception):
    """Stands for the kill: nothing in training catches it."""


@pytest.fixture
def job(base_dir: Path, rows, make_dataset, tmp_path: Path) -> Job:
    return Job(
        base=f"local:{base_dir}",
        dataset=make_dataset(rows[:20]),
        out=tmp_path / "adapter",
        lora=Lora(rank=4, alpha=8.0),
        lr=1e-2,
        epochs=3,
        batch_tokens=240,
        checkpoint_every_s=0,
    )


def weights(job: Job) -> bytes:
    return (job.out / "adapter_model.safetensors").read_bytes()


@pytest.fixture
def uninterrupted(job: Job, tmp_path: Path) -> tuple[bytes, TrainingStatistics]:
    """The adapter that the job makes when nothing happens, and its statistics."""
    other = job.model_copy(update={"out": tmp_path / "uninterrupted"})
    statistics = train_adapter(other)
    return weights(other), statistics


@pytest.fixture
def stopped(job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    """The job, stopped in the middle of an epoch just after the checkpoint of step `STOPPED_AT`."""
    from langgraph_ratchet.training import sft

    def save_and_stop(folder: Path, step: int, *rest) -> None:
        save_checkpoint(folder, step, *rest)
        if step == STOPPED_AT:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(sft, "save_checkpoint", save_and_stop)
        with pytest.raises(Killed):
            train_adapter(job)
    assert not job.out.exists()
    return job


def resume(job: Job) -> tuple[int, TrainingStatistics]:
    """Trains on; gives the step it went on from (0: from the start) and the statistics."""
    told: list[Progress] = []
    statistics = train_adapter(job, told.append)
    said = told[0].message
    return int(said.removeprefix("resumed at step ")) if said.startswith("resumed") else 0, statistics


def test_a_resumed_job_makes_the_very_same_adapter(stopped: Job, uninterrupted) -> None:
    from_step, statistics = resume(stopped)
    assert from_step == STOPPED_AT
    assert weights(stopped) == uninterrupted[0]
    assert statistics.model_copy(update={"seconds": 0.0}) == uninterrupted[1].model_copy(update={"seconds": 0.0})


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("spoil", "name"),
    [(spoil, name) for spoil in (flip_a_bit, cut, Path.unlink) for name in (TENSORS, MARKER)],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(
    stopped: Job, uninterrupted, spoil: Callable[[Path], None], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    newest = stopped.checkpoints / f"step-{STOPPED_AT}"
    spoil(newest / name)
    if spoil is flip_a_bit and name == TENSORS:
        # The reason for the hashes: the format itself does not notice.
        assert all(torch.isfinite(tensor).all() for tensor in load_file(newest / TENSORS).values())
    from_step, _ = resume(stopped)
    assert from_step == STOPPED_AT - 1
    assert "is damaged" in caplog.text
    assert weights(stopped) == uninterrupted[0]
    assert (stopped.checkpoints / f"damaged-step-{STOPPED_AT}").is_dir(), "what was set aside is kept for a person"


def test_without_any_sound_checkpoint_training_begins_anew(stopped: Job, uninterrupted) -> None:
    for marker in stopped.checkpoints.glob(f"step-*/{MARKER}"):
        flip_a_bit(marker)
    assert resume(stopped)[0] == 0
    assert weights(stopped) == uninterrupted[0]


def test_a_checkpoint_under_another_name_is_not_taken(stopped: Job) -> None:
    """It would repeat or skip steps."""
    shutil.copytree(stopped.checkpoints / f"step-{STOPPED_AT}", stopped.checkpoints / "step-5")
    assert resume(stopped)[0] == STOPPED_AT


def test_checkpoints_belong_to_one_job(stopped: Job, rows, make_dataset) -> None:
    """To its settings and to the bytes of its dataset; how often they are made is no matter."""
    assert stopped.model_copy(update={"checkpoint_every_s": 9.0}).checkpoints == stopped.checkpoints
    other = stopped.model_copy(update={"lr": 2e-2})
    assert resume(other)[0] == 0
    make_dataset(rows[:19])  # under the same path
    assert load_checkpoint(stopped.checkpoints) is None


def test_a_full_disk_fails_the_job_and_room_lets_it_go_on(
    stopped: Job, uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(TrainingFailedError, match=r"checkpoint of step 5 .* make room there and run the same"):
            train_adapter(stopped)
        with pytest.raises(TrainingFailedError, match=r"adapter could not be written .* the disk has room"):
            train_adapter(stopped.model_copy(update={"checkpoint_every_s": 1e9}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(path.name for path in stopped.out.parent.iterdir() if path.name.startswith("adapter")) == [
        "adapter.checkpoints"
    ]
    assert resume(stopped)[0] == STOPPED_AT
    assert weights(stopped) == uninterrupted[0]
