"""Checkpoints of a training run: a killed run finds the last sound one.

    <folder>/step-N/tensors.safetensors   weights and optimizer
    <folder>/step-N/complete.json         written last: the rest of the state, and the SHA-256 of everything
    <folder>/damaged-step-N               set aside for a person to look at; never loaded

A safetensors file does not notice a flipped bit, and a file that was cut may have its name already. So a checkpoint
counts only when its marker is there and every hash is right; else the one before it is taken, which is why two stay.
"""

import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from torch import Tensor, no_grad

from langgraph_ratchet.core.errors import TrainingFailedError
from langgraph_ratchet.core.ids import content_hash, file_hash
from langgraph_ratchet.registry.files import fsync_folder, write_durably

_TENSORS, _MARKER = "tensors.safetensors", "complete.json"
_KEPT = 2

_log = logging.getLogger(__name__)


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Writes `folder/step-N` so that it is there whole or not at all, then removes all but it and the one before.

    Args:
        folder: of all checkpoints of the run.
        step: optimizer steps done.
        tensors: contiguous, none sharing memory.
        state: what else is needed to go on, as JSON.

    Raises:
        TrainingFailedError: it could not be written; earlier ones are as they were.
    """
    from safetensors.torch import save

    final, unfinished = folder / f"step-{step}", folder / "unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write_durably(unfinished / _TENSORS, save(tensors))
        marker = {"step": step, "state": state, "files": {_TENSORS: file_hash(unfinished / _TENSORS)}}
        write_durably(unfinished / _MARKER, orjson.dumps({**marker, "sha256": content_hash(marker)}))
        fsync_folder(unfinished)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(unfinished, final)
        fsync_folder(folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise TrainingFailedError(
            f"the checkpoint of step {step} could not be written to {folder} ({error}): make room there and run the "
            "same again, it goes on from the checkpoint before"
        ) from error
    for older in _by_age(folder)[_KEPT:]:
        shutil.rmtree(older, ignore_errors=True)


def load_checkpoint(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """The newest sound checkpoint as (steps done, tensors, state); `None` when there is none.

    Those that are not sound are renamed, with a warning that says why.
    """
    from safetensors.torch import load_file

    for path in _by_age(folder):
        try:
            step, state = _sound(path)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            aside = path.with_name(f"damaged-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(path, aside)
            _log.warning("checkpoint %s is damaged (%s): set aside as %s and not used", path, error, aside.name)
        else:
            return step, load_file(path / _TENSORS), state
    return None


def training_tensors(named: Iterable[tuple[str, Any]], optimizer: Any) -> dict[str, Tensor]:
    """Every parameter (`model.NAME`) and what the optimizer keeps for it (`MOMENT.NAME`)."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in named:
        tensors[f"model.{name}"] = parameter.detach()
        for moment, value in optimizer.state[parameter].items():
            tensors[f"{moment}.{name}"] = value
    return tensors


def restore_tensors(named: Iterable[tuple[str, Any]], optimizer: Any, tensors: dict[str, Tensor]) -> None:
    """Puts back what `training_tensors` gave."""
    with no_grad():
        for name, parameter in named:
            parameter.copy_(tensors[f"model.{name}"])
            optimizer.state[parameter] = {
                # The count of steps stays where it was loaded: AdamW keeps it off the GPU.
                moment: value.to(parameter.device) if value.dim() else value
                for moment in ("step", "exp_avg", "exp_avg_sq")
                if (value := tensors.get(f"{moment}.{name}")) is not None
            }


def _by_age(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, newest first."""
    found = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def _sound(path: Path) -> tuple[int, dict[str, Any]]:
    """Steps done and state of the checkpoint at `path`; raises if a byte of it is not as it was written."""
    marker = orjson.loads((path / _MARKER).read_bytes())
    if marker.pop("sha256") != content_hash(marker) or path.name != f"step-{marker['step']}":
        raise ValueError(f"{_MARKER} is not what was written")
    for name, expected in marker["files"].items():
        if file_hash(path / name) != expected:
            raise ValueError(f"{name} is not what was written")
    return int(marker["step"]), marker["state"]
