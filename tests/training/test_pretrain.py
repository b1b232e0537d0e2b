import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from langgraph_ratchet.core.errors import BadInputError, TrainingFailedError
from langgraph_ratchet.core.progress import silent
from langgraph_ratchet.training import pretrain as module
from langgraph_ratchet.training.checkpoint import load_checkpoint, save_checkpoint
from langgraph_ratchet.training.pretrain import PretrainSettings, pretrain

LEARNING = PretrainSettings(tokens=20_000, batch_tokens=300, lr=1e-2)
SETTINGS = PretrainSettings(tokens=6_000, batch_tokens=120, lr=5e-3, seed=7)


def run(data_dir: Path, model_dir: Path, out: Path, settings: PretrainSettings = SETTINGS, **more):
    return pretrain(data_dir, model_dir, out, settings=settings, on_progress=more.pop("on_progress", silent), **more)


@pytest.fixture(scope="module")
def uninterrupted(data_dir: Path, model_dir: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    run(data_dir, model_dir, out)
    return out


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_result_loads_with_its_tokenizer_and_has_learned(data_dir, model_dir, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    told = []
    measured = run(data_dir, model_dir, tmp_path, LEARNING, on_progress=told.append)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, use_safetensors=True)
    assert model.config.use_cache
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template
    assert (tmp_path / "tokenizer.json").read_bytes() == (model_dir / "tokenizer.json").read_bytes()
    assert not (tmp_path / "checkpoints").exists()
    assert measured["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert measured["tokens"] >= 20_000
    assert measured["demonstration_loss"] == pytest.approx(1.39, abs=0.3)
    assert told[-1].done == measured["tokens"]
    assert "tokens/s" in told[-1].message


def test_resumed_run_sees_the_same_batches_and_ends_with_the_same_weights(
    data_dir, model_dir, uninterrupted: Path, tmp_path: Path, monkeypatch
) -> None:
    batches = []
    step = module.Pretraining.step

    def stopping(self, replicas):
        if len(batches) == 20:
            raise KeyboardInterrupt
        batches.append(self.batches[self.steps_done])
        return step(self, replicas)

    monkeypatch.setattr(module.Pretraining, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(data_dir, model_dir, tmp_path, checkpoint_every_s=0)
    monkeypatch.undo()
    saved = load_checkpoint(tmp_path / "checkpoints")
    assert saved is not None
    assert saved[0] == 20

    seen = []
    monkeypatch.setattr(
        module.Pretraining,
        "step",
        lambda self, replicas: (seen.append(self.batches[self.steps_done]), step(self, replicas))[1],
    )
    told = []
    measured = run(data_dir, model_dir, tmp_path, on_progress=told.append)
    assert told[0].message == "resumed at step 20"
    assert len(seen) == measured["steps"] - 20
    assert seen[0] not in batches[-1:]
    assert same_weights(tmp_path, uninterrupted)


@pytest.mark.slow
def test_killed_process_goes_on(data_dir, model_dir, uninterrupted: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "langgraph_ratchet.training.pretrain", data_dir, model_dir, tmp_path]
    options = ["--tokens", "6000", "--batch-tokens", "120", "--lr", "5e-3", "--seed", "7", "--checkpoint-every-s", "0"]
    process = subprocess.Popen([*map(str, command), *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "checkpoints").glob("step-*/complete.json")):
            assert process.poll() is None, "the process ended before its first checkpoint"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "model.safetensors").exists(), "killed too late to test anything"
    told = []
    run(data_dir, model_dir, tmp_path, on_progress=told.append)
    assert told[0].message.startswith("resumed at step ")
    assert same_weights(tmp_path, uninterrupted)


def test_finished_run_is_not_repeated_and_other_settings_are_refused(data_dir, model_dir, uninterrupted: Path) -> None:
    before = (uninterrupted / "model.safetensors").stat().st_mtime_ns
    assert run(data_dir, model_dir, uninterrupted)["steps"] > 0
    assert (uninterrupted / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(BadInputError, match="other data, model shape or settings"):
        run(data_dir, model_dir, uninterrupted, PretrainSettings(tokens=6_000, seed=8))


def test_checkpoint_of_another_run_is_refused(data_dir, model_dir, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoints", 3, {"x": torch.zeros(1)}, {"identity": "other"})
    with pytest.raises(BadInputError, match="other data, model shape or settings"):
        run(data_dir, model_dir, tmp_path)


def test_diverging_run_fails_and_leaves_no_model(data_dir, model_dir, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailedError, match=r"lower the learning rate \(it is 1e\+30\)"):
        run(data_dir, model_dir, tmp_path, PretrainSettings(tokens=6_000, batch_tokens=120, lr=1e30))
    assert not (tmp_path / "model.safetensors").exists()


def test_model_that_is_no_llama_is_refused(data_dir, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no config\.json"):
        run(data_dir, tmp_path, tmp_path / "out")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(BadInputError, match="'gpt2'"):
        run(data_dir, tmp_path, tmp_path / "out")


def test_half_written_checkpoints_are_not_seen(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 9, {"x": torch.ones(2)}, {"tokens": 1})
    save_checkpoint(tmp_path, 10, {"x": torch.full((2,), 2.0)}, {"tokens": 2})
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "tensors.safetensors").write_bytes(b"half")
    (tmp_path / "step-99").mkdir()
    found = load_checkpoint(tmp_path)
    assert found is not None
    step, tensors, state = found
    assert (step, tensors["x"].tolist(), state) == (10, [2.0, 2.0], {"tokens": 2})
    save_checkpoint(tmp_path, 11, {"x": torch.zeros(2)}, {})
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-10", "step-11"], "the newest two stay"
