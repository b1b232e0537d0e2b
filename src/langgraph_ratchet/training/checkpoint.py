"""Checkpoints of a pretraining run: a killed run finds the last complete one."""

import os
import shutil
from pathlib import Path
from typing import Any

import orjson
from torch import Tensor

_MARKER = "complete.json"


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Writes `folder/step-N` so that it is there whole or not at all, then removes older ones.

    Args:
        folder: of all checkpoints of the run.
        step: optimizer steps done.
        tensors: contiguous, none sharing memory.
        state: what else is needed to go on, as JSON.
    """
    from safetensors.torch import save_file

    final, unfinished = folder / f"step-{step}", folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    save_file(tensors, unfinished / "tensors.safetensors")
    (unfinished / _MARKER).write_bytes(orjson.dumps(state))
    for path in (*unfinished.iterdir(), unfinished):
        _sync(path)
    shutil.rmtree(final, ignore_errors=True)
    unfinished.rename(final)
    _sync(folder)
    for older in folder.glob("step-*"):
        if older != final:
            shutil.rmtree(older)


def load_checkpoint(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """The newest complete checkpoint as (steps done, tensors, state); `None` when there is none."""
    from safetensors.torch import load_file

    found = [path for path in folder.glob("step-*") if (path / _MARKER).is_file()]
    if not found:
        return None
    newest = max(found, key=lambda path: int(path.name.removeprefix("step-")))
    state: dict[str, Any] = orjson.loads((newest / _MARKER).read_bytes())
    return int(newest.name.removeprefix("step-")), load_file(newest / "tensors.safetensors"), state


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
