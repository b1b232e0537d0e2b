"""A training job is killed: before every call that changes a file, and at random moments from outside."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from langgraph_ratchet.training.job import Job, Lora
from langgraph_ratchet.training.run import run_job

pytestmark = pytest.mark.slow

SEED = 20_250
KILLS = 3


@pytest.fixture
def job(base_dir: Path, rows, make_dataset, tmp_path: Path) -> Job:
    folder = tmp_path / "training"
    folder.mkdir()
    return Job(
        base=f"local:{base_dir}",
        dataset=make_dataset(rows[:12]).rename(folder / "dataset.json"),
        out=folder / "adapter",
        lora=Lora(rank=2, alpha=4.0, target=("q_proj",)),
        lr=1e-2,
        batch_tokens=240,
        max_steps=2,
        checkpoint_every_s=0,
    )


@pytest.mark.timeout(900)
def test_killed_before_any_change_of_a_file_it_ends_with_the_same_adapter(job: Job, tmp_path: Path) -> None:
    job.write(tmp_path / "given.json")
    command = [
        sys.executable,
        "-W",
        "ignore",
        Path(__file__).with_name("killed_everywhere.py"),
        tmp_path / "given.json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = orjson.loads(done.stdout.splitlines()[-1])
    assert measured["moments"] > 30
    assert {"from the start", *(f"resumed at step {step}" for step in (1, 2))} == measured["resumed"].keys()


@pytest.mark.timeout(900)
def test_killed_at_random_it_is_done_once(job: Job, tmp_path: Path) -> None:
    """The caller or the trainer is killed, and the same job given again, until it is done."""
    job = job.model_copy(update={"max_steps": None, "epochs": 60, "batch_tokens": 60})
    whole = job.model_copy(update={"out": tmp_path / "whole" / "adapter"})
    run_job(whole)
    job.write(tmp_path / "given.json")
    code = "import sys; from langgraph_ratchet.training.run import *; run_job(Job.read(Path(sys.argv[1])))"
    print(f"seed {SEED}")
    random_s = random.Random(SEED)
    folder = job.out.parent
    kills = 0
    while kills < KILLS:
        caller = subprocess.Popen([sys.executable, "-c", code, tmp_path / "given.json"], stderr=subprocess.PIPE)
        progress = folder / "progress.jsonl"
        while caller.poll() is None and not (progress.is_file() and progress.stat().st_size):
            time.sleep(0.01)
        time.sleep(random_s.uniform(0, 0.4))
        if caller.poll() is not None:
            break
        caller.send_signal(signal.SIGKILL)
        caller.communicate()
        kills += 1
        progress.unlink(missing_ok=True)
    assert kills >= 1, "nothing was killed, so nothing was shown"
    trained = run_job(job)
    assert (job.out / "adapter_model.safetensors").read_bytes() == (
        whole.out / "adapter_model.safetensors"
    ).read_bytes()
    assert trained.statistics.steps == run_job(whole).statistics.steps
