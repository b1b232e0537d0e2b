import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from langgraph_ratchet.core.errors import (
    BadInputError,
    FingerprintError,
    RatchetError,
    TrainingFailedError,
    UnknownNameError,
)
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.training.job import Job, Lora
from langgraph_ratchet.training.result import Files, read_failure, write_failure
from langgraph_ratchet.training.run import run_job

pytestmark = pytest.mark.slow


@pytest.fixture
def job(base_dir: Path, rows, make_dataset, tmp_path: Path) -> Job:
    return Job(
        base=f"local:{base_dir}",
        dataset=make_dataset(rows),
        out=tmp_path / "training" / "adapter",
        lora=Lora(rank=4, alpha=8.0),
        epochs=2,
        batch_tokens=120,
    )


def endless(job: Job) -> Job:
    return job.model_copy(update={"epochs": 100_000})


def is_running(process: int) -> bool:
    """Whether the process is there and is no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def training_processes(folder: Path) -> list[int]:
    """Processes that run the job file in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder / "job.json").encode() in arguments:
            found.append(int(entry.name))
    return [process for process in found if is_running(process)]


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")


def test_job_trains_in_its_own_process(job: Job) -> None:
    told: list[Progress] = []
    trained = run_job(job, on_progress=told.append)
    assert trained.folder == job.out
    assert sorted(path.name for path in job.out.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert trained.statistics.examples == 40
    assert trained.statistics.epochs == 2.0
    assert [event.epoch for event in told][-1] == 2.0
    assert told[-1].loss == trained.statistics.last_loss < trained.statistics.first_loss
    assert {event.phase for event in told} == {"train"}
    folder = job.out.parent
    assert Job.read(folder / "job.json") == job
    assert [Progress.model_validate_json(line) for line in (folder / "progress.jsonl").read_text().splitlines()] == told


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (FingerprintError("other base"), FingerprintError),
        (BadInputError("no dataset"), BadInputError),
        (TrainingFailedError("diverged"), TrainingFailedError),
        (UnknownNameError("model", "x", []), TrainingFailedError),
    ],
)
def test_errors_keep_their_kind_and_reason(tmp_path: Path, error: RatchetError, raised: type[RatchetError]) -> None:
    files = Files(tmp_path)
    assert read_failure(files) is None
    write_failure(files, error)
    read = read_failure(files)
    assert type(read) is raised
    assert str(read) == str(error)


def test_diverging_job_says_why_and_leaves_no_adapter(job: Job) -> None:
    with pytest.raises(TrainingFailedError, match="training diverged"):
        run_job(job.model_copy(update={"lr": 1e9}))
    assert not job.out.exists()


@needs_proc
def test_interrupt_ends_the_process_and_is_raised_again(job: Job) -> None:
    running: list[int] = []

    def interrupt(event: Progress) -> None:
        running.extend(training_processes(job.out.parent))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(endless(job), on_progress=interrupt)
    assert len(running) == 1
    assert not is_running(running[0])
    assert not job.out.exists()


@needs_proc
def test_killed_process_is_named_as_such(job: Job) -> None:
    def kill(event: Progress) -> None:
        for process in training_processes(job.out.parent):
            os.kill(process, signal.SIGKILL)

    with pytest.raises(TrainingFailedError, match=r"killed by SIGKILL.*memory ran out"):
        run_job(endless(job), on_progress=kill)
    assert not job.out.exists()


@needs_proc
def test_process_ends_when_its_parent_is_killed(job: Job, tmp_path: Path) -> None:
    endless(job).write(tmp_path / "given.json")
    code = "import sys; from langgraph_ratchet.training.run import *; run_job(Job.read(Path(sys.argv[1])))"
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "given.json")])
    try:
        deadline = time.monotonic() + 60
        while not (job.out.parent / "progress.jsonl").is_file():
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (child,) = training_processes(job.out.parent)
    finally:
        parent.kill()
        parent.wait()
    while is_running(child):
        assert time.monotonic() < deadline, "the training process outlived its parent"
        time.sleep(0.02)


@needs_proc
def test_a_job_is_done_once_and_by_one_process_at_a_time(job: Job, tmp_path: Path) -> None:
    told: list[Progress] = []

    def again(event: Progress) -> None:
        if not told:
            with pytest.raises(BadInputError, match="another process trains in .* already: wait for it"):
                run_job(job)
        told.append(event)

    first = run_job(job, on_progress=again)
    weights = job.out / "adapter_model.safetensors"
    made = weights.stat().st_mtime_ns
    assert not job.checkpoints.parent.exists(), "checkpoints of a finished job are of no use"
    assert run_job(job) == first
    assert weights.stat().st_mtime_ns == made, "a finished job was done again"
    # Neither an adapter that was changed since, nor one of a job with other settings, is taken for this one.
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    run_job(job)
    assert weights.stat().st_mtime_ns != made
    assert data != weights.read_bytes()
    with pytest.raises(TrainingFailedError, match="diverged"):
        run_job(job.model_copy(update={"lr": 1e9}))
    assert not job.out.exists(), "the adapter of the job before was left"


def test_crash_shows_the_last_lines_of_the_log(job: Job, rows, make_dataset) -> None:
    # A token that the model has no embedding for: no error that training foresees.
    (ids, mask, weight), *rest = rows
    odd = ((10**6, *ids[1:]), mask, weight)
    with pytest.raises(TrainingFailedError, match=r"exit status 1.*training\.log(?s:.*)IndexError"):
        run_job(job.model_copy(update={"dataset": make_dataset([odd, *rest])}))


def test_command_line_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(orjson.dumps({"base": "pocket"}).decode())
    command = [sys.executable, "-m", "langgraph_ratchet.training", str(tmp_path / "job.json")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not a training job" in done.stderr
    assert "Traceback" not in done.stderr
