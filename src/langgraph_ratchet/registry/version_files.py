"""A version's folder: read, and checked against the hashes that were recorded when it was added."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from langgraph_ratchet.core.errors import CorruptFileError
from langgraph_ratchet.core.ids import content_id, file_hash
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.core.noun import Stored

S = TypeVar("S", bound=Stored)

VERSION_FILE = "version.json"


def version_id(hashes: Mapping[str, str], dataset_hash: str) -> str:
    """The id of a version with these files (name to SHA-256), trained on this dataset."""
    return content_id("v", [dict(hashes), dataset_hash])


def read_version(folder: Path) -> ModelVersion:
    """The version in `folder`, which is named by its id. Its files are not checked.

    Raises:
        CorruptFileError: its `version.json` is missing, cannot be read, or belongs to another version.
    """
    path = folder / VERSION_FILE
    version = read_stored(ModelVersion, path, _advice(folder))
    if {folder.name, version.id} != {version_id(version.files, version.dataset_hash)}:
        raise CorruptFileError(f"{path} does not belong to version {folder.name}: {_advice(folder)}")
    return version


def verify_version(folder: Path) -> ModelVersion:
    """The version in `folder`, every file of which is as it was when it was added.

    Raises:
        CorruptFileError: a file is missing, was changed, or does not belong there; it says which.
    """
    version = read_version(folder)
    try:
        for name, expected in version.files.items():
            path = folder / name
            if path.is_symlink() or not path.is_file():
                raise CorruptFileError(f"{path} is missing or not a plain file: {_advice(folder)}")
            if (found := file_hash(path)) != expected:
                raise CorruptFileError(f"{path} has SHA-256 {found}, recorded was {expected}: {_advice(folder)}")
        strangers = {path.name for path in folder.iterdir()} - version.files.keys() - {VERSION_FILE}
    except OSError as error:
        raise CorruptFileError(f"{folder} cannot be read ({error}): {_advice(folder)}") from error
    if strangers:
        listed = ", ".join(sorted(strangers))
        raise CorruptFileError(f"{folder} holds {listed}, which was not there when it was added: {_advice(folder)}")
    return version


def read_stored(kind: type[S], path: Path, advice: str) -> S:
    """The noun in a JSON file.

    Raises:
        CorruptFileError: the file is missing or is not such a noun; the message ends with `advice`.
        SchemaVersionError: it was written with a schema that this code does not know.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CorruptFileError(f"{path} cannot be read ({error.strerror}): {advice}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise CorruptFileError(
            f"{path} cannot be read ({place + ': ' if place else ''}{fault['msg']}): {advice}"
        ) from error


def _advice(folder: Path) -> str:
    return f"it was not loaded; restore {folder}, or roll back if it is the champion, remove it and train again"
