"""LoRA layers in a base for the time of a training run, and the adapter's files."""

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langgraph_ratchet.core.errors import BadInputError, TrainingFailedError
from langgraph_ratchet.registry.files import fsync_file, fsync_folder
from langgraph_ratchet.training.job import Job, Lora

_FILES = frozenset({"adapter_model.safetensors", "adapter_config.json"})


@contextmanager
def attached_lora(model: Any, lora: Lora, *, seed: int) -> Iterator[Any]:
    """The base with new LoRA layers, drawn from `seed`, which alone are trainable; on leaving, the base is as it was.

    Raises:
        BadInputError: the base has no layers of that name.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=lora.target if isinstance(lora.target, str) else list(lora.target),
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # PEFT asks transformers for an attribute by its old name, which nobody here can help.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            torch.manual_seed(seed)
            peft_model = get_peft_model(model, config)
    except ValueError as error:
        raise BadInputError(f"no adapter can be put on the base: {error}") from error
    was_training = model.training
    try:
        yield peft_model
    finally:
        peft_model.unload()
        model.train(was_training)


def save_adapter(peft_model: Any, job: Job) -> None:
    """Writes the adapter to `job.out`, whole or not at all: `adapter_model.safetensors` and `adapter_config.json`.

    Raises:
        BadInputError: the folder is there and holds something else than an adapter.
        TrainingFailedError: it could not be written.
    """
    from safetensors import SafetensorError

    check_replaceable(job.out)
    unfinished = job.out.with_name(f"{job.out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    config = peft_model.peft_config["default"]
    # The base by name: a path of this machine would mean nothing on another.
    config.base_model_name_or_path = portable_name(job.base)
    if not isinstance(config.target_modules, str):
        # A set has another order in each process, and the version's id is a hash of this file too.
        config.target_modules = sorted(config.target_modules)
    try:
        peft_model.save_pretrained(unfinished, safe_serialization=True, save_embedding_layers=False)
        for path in unfinished.iterdir():
            fsync_file(path) if path.name in _FILES else path.unlink()
        if {path.name for path in unfinished.iterdir()} != _FILES:
            raise TrainingFailedError(f"the adapter was not written to {unfinished} as safetensors")
        fsync_folder(unfinished)
        remove_adapter(job.out)
        os.rename(unfinished, job.out)
        fsync_folder(job.out.parent)
    except (OSError, SafetensorError) as error:  # safetensors says so that the disk is full
        shutil.rmtree(unfinished, ignore_errors=True)
        raise TrainingFailedError(
            f"the adapter could not be written to {job.out} ({error}): see that the disk has room and the folder "
            "may be written, then run the same again"
        ) from error


def remove_adapter(folder: Path) -> None:
    """Removes the adapter that an earlier run left. Raises like `check_replaceable`."""
    check_replaceable(folder)
    shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Raises `BadInputError` unless `folder` is missing, empty or holds nothing but an adapter."""
    if not folder.exists():
        return
    if not folder.is_dir() or not {path.name for path in folder.iterdir()} <= _FILES:
        raise BadInputError(f"{folder} is there and holds something else than an adapter: choose another output folder")


def portable_name(base: str) -> str:
    """The base's name without a path of this machine."""
    kind, _, rest = base.partition(":")
    if kind == "hf":
        return rest
    path = Path(rest if kind == "local" else base).expanduser()
    return path.resolve().name if kind == "local" or path.is_dir() else base
