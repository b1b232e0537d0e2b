"""Models of the Hugging Face hub: from its local cache, or downloaded into it."""

from pathlib import Path

import orjson

from langgraph_ratchet.core.errors import MissingExtraError, UnknownNameError

_FORMS = ("pocket", "local:PATH", "hf:ORGANISATION/NAME")
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
"""What is downloaded: no pickled weights, no code."""


def hub_path(identifier: str, name: str) -> Path:
    """Folder of the hub's model `identifier`, from the local cache if all of it is there.

    Args:
        identifier: `ORGANISATION/NAME`.
        name: as the model was asked for.

    Raises:
        UnknownNameError: the hub has no such model, or it is not, or only in part, in the cache and the hub is offline.
        MissingExtraError: the hub's library is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    except ImportError as error:
        raise MissingExtraError(f"the model {name!r}", "local") from error
    lack, failed = "not in the local cache", None
    for cached in (True, False):  # the cache first, then the hub, unless HF_HUB_OFFLINE forbids it
        try:
            snapshot = Path(snapshot_download(identifier, allow_patterns=_FILES, local_files_only=cached))
        except HFValidationError as error:
            raise UnknownNameError("model", name, known_models(), "It is no folder, and no id of the hub") from error
        except Exception as error:  # the hub raises what its HTTP library raises
            failed = error
            continue
        missing = _missing_files(snapshot)
        if not missing:
            return snapshot
        lack = f"in the local cache only in part ({missing[0]} is missing)"
    why = type(failed).__name__ if failed else "offline"
    hint = f"It is no folder, {lack}, and the hub did not give it ({why})"
    raise UnknownNameError("model", name, known_models(), hint) from failed


def known_models() -> list[str]:
    """The forms of a name, then the chat models that are in the hub's local cache."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        found = scan_cache_dir(constants.HF_HUB_CACHE).repos
        cached = [f"hf:{repo.repo_id}" for repo in found if repo.repo_type == "model"]
    except (CacheNotFound, OSError):
        cached = []
    return [*_FORMS, *sorted(cached)]


def _missing_files(snapshot: Path) -> list[str]:
    """What a download that was cut off has not brought, as far as the files that are there tell."""
    wanted = {"config.json"} | {file.name for file in snapshot.iterdir() if not file.exists()}  # links to nothing
    for index in snapshot.glob("*.safetensors.index.json"):
        try:
            wanted |= set(orjson.loads(index.read_bytes())["weight_map"].values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return [index.name]  # cut off itself
    return sorted(each for each in wanted if not (snapshot / each).is_file())
