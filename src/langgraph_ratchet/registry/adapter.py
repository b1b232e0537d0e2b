"""What an adapter's folder may hold: weights as safetensors and configuration as JSON, nothing that could run."""

import stat
from pathlib import Path

import orjson

from langgraph_ratchet.core.errors import BadInputError

WEIGHTS = "adapter_model.safetensors"
CONFIGURATION = "adapter_config.json"
_ALLOWED = (".safetensors", ".json")
_MAX_HEADER_BYTES = 100_000_000
"""Limit of the safetensors format itself."""


def check_adapter(folder: Path, reserved: str) -> list[Path]:
    """Files of an adapter that training left in `folder`, by name.

    Args:
        folder: the folder.
        reserved: a file name that it must not contain.

    Raises:
        BadInputError: something is missing, does not belong there, or cannot be read; it says what.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder} is not a folder; give the folder that training left")
    files = sorted(folder.iterdir())
    for path in files:
        if (
            not stat.S_ISREG(path.lstat().st_mode)
            or path.suffix not in _ALLOWED
            or path.name.startswith(".")
            or path.name == reserved
        ):
            raise BadInputError(
                f"{path} does not belong in an adapter: it may hold plain {' and '.join(_ALLOWED)} files only, no "
                f"links, no folders, nothing hidden and no {reserved}; remove it and add the adapter again"
            )
    for name in (WEIGHTS, CONFIGURATION):
        if folder / name not in files:
            raise BadInputError(f"{folder} has no {name}, so it is not a PEFT adapter")
    for path in files:
        _check_json(path) if path.suffix == ".json" else _check_safetensors(path)
    return files


def _check_json(path: Path) -> None:
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise BadInputError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInputError(f"{path} holds a JSON {type(found).__name__}, it must be an object")


def _check_safetensors(path: Path) -> None:
    """The format: 8 bytes with the header's length, the header (JSON with each tensor's place), the tensors."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= min(size, _MAX_HEADER_BYTES) else b""
    try:
        tensors = [entry for name, entry in orjson.loads(header).items() if name != "__metadata__"]
        end = max(entry["data_offsets"][1] for entry in tensors)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise BadInputError(f"{path} is not a safetensors file with tensors in it; train the adapter again") from error
    if 8 + length + end != size:
        raise BadInputError(
            f"{path} has {size} bytes, its header says {8 + length + end}: it was cut short or added to; "
            "train the adapter again"
        )
