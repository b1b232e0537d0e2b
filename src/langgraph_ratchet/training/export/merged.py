"""Merged weights: a folder that transformers, vLLM and most other programs load as a model of its own."""

import shutil
from pathlib import Path
from typing import Any

from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.training.export.folder import RECORD
from langgraph_ratchet.training.export.source import Source, load_merged

DTYPES = ("float32", "bfloat16", "float16")

_TEXT_FILES = ("*.json", "*.jinja", "*.txt", "*.model")
_NEVER_COPIED = (RECORD, "model.safetensors.index.json", "pytorch_model.bin.index.json")
_TEMPLATES = "additional_chat_templates"


def write_merged(source: Source, folder: Path, dtype: str | None, on_progress: OnProgress) -> str:
    """Writes merged weights, configuration, tokenizer, chat template and generation settings into `folder`.

    The sum is computed in float32 and rounded once. What is not a weight is copied byte by byte from the base, so
    the tokenizer and chat template keep their hashes.

    Args:
        source: the base and the adapter.
        folder: an empty folder.
        dtype: of the weights, one of `DTYPES`; `None` keeps the base's.
        on_progress: told of merging and writing.

    Returns:
        The dtype that was written.

    Raises:
        UnknownNameError: there is no such dtype.
        BadInputError: a weight is too large for the dtype.
    """
    import torch
    from transformers import GenerationConfig

    if dtype is not None and dtype not in DTYPES:
        raise UnknownNameError("dtype of merged weights", dtype, DTYPES)
    model, stored = load_merged(source, on_progress)
    dtype = dtype or stored
    check_finite(model, dtype)
    network: Any = model.to(getattr(torch, dtype))
    settings = network.generation_config
    # transformers refuses to save settings that it finds odd; the base's own file is copied below.
    network.generation_config = GenerationConfig()
    on_progress(Progress(phase="write", done=0, total=1))
    network.save_pretrained(folder, safe_serialization=True)
    if not (source.path / "generation_config.json").is_file():
        settings.save_pretrained(folder)
    copy_text_files(source.path, folder, leave_out=("config.json",))
    on_progress(Progress(phase="write", done=1, total=1))
    return dtype


def check_finite(model: Any, dtype: str) -> None:
    """Raises `BadInputError` if a weight of `model` is not a number, or too large for `dtype`."""
    import torch

    largest = torch.finfo(getattr(torch, dtype)).max
    for name, weight in model.named_parameters():
        if not weight.abs().max() <= largest:
            raise BadInputError(f"the weight {name} does not fit {dtype}: choose another --dtype, such as bfloat16")


def copy_text_files(source: Path, folder: Path, *, leave_out: tuple[str, ...]) -> None:
    """Copies a model's tokenizer, templates and settings as they are, all but those called `leave_out`."""
    for pattern in _TEXT_FILES:
        for path in source.glob(pattern):
            if path.name not in (*leave_out, *_NEVER_COPIED) and path.is_file():
                shutil.copyfile(path, folder / path.name)
    if (source / _TEMPLATES).is_dir():
        shutil.copytree(source / _TEMPLATES, folder / _TEMPLATES)
