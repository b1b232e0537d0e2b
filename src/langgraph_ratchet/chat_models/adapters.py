"""Adapters: which one a name means, checked by hash, and the base with it applied."""

import copy
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError, CorruptFileError, FingerprintError, RatchetError
from langgraph_ratchet.core.ids import file_hash
from langgraph_ratchet.registry import Registry

_WEIGHTS, _CONFIGURATION = "adapter_model.safetensors", "adapter_config.json"
_MERGED_BYTES = 1 << 30
KEPT = 4
"""Adapters that stay in memory, and that may be used at once, those used last."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's files, which were whole when it was resolved."""

    version: str | None
    """Registry id; `None` for a folder outside the registry."""
    folder: Path
    hash: str
    """SHA-256 of the weights."""
    trained_on: Fingerprint | None
    """Base that it was trained on; `None` where that was not recorded."""

    def __str__(self) -> str:
        return f"adapter {self.version or self.folder}"


def resolve_adapter(name: str | None, registry: Registry) -> Adapter | None:
    """The adapter called `name`, verified; `None` stands for the bare base.

    Args:
        name: version id, a unique beginning of one, `champion` (the bare base while there is none), or a folder.
        registry: where versions are looked up.

    Raises:
        UnknownNameError: nothing has this name; it lists the versions that exist.
        CorruptFileError: a file is not what it was when it was added to the registry.
    """
    if name is None:
        return None
    folder = Path(name).expanduser()
    if (folder / _CONFIGURATION).is_file():
        return _unless_known(folder.resolve(), _from_folder)
    if name == "champion":
        champion = registry.champion
        if champion is None:
            return None
        name = champion.id
    folder = registry.root.resolve() / "versions" / name
    if folder not in _known:
        name = registry.get(name).id
    return _unless_known(folder.with_name(name), lambda _: _from_registry(registry, name))


# Hashing megabytes for every call would cost more than the call. What was verified is verified again as soon as the
# size or time of a file differs.
_known: dict[Path, tuple[Any, Adapter]] = {}
_lock = threading.Lock()


def _unless_known(folder: Path, read: Callable[[Path], Adapter]) -> Adapter:
    files = (folder / _WEIGHTS, folder / _CONFIGURATION)
    stamp = [(file.stat().st_size, file.stat().st_mtime_ns) if file.is_file() else None for file in files]
    with _lock:
        known = _known.get(folder)
        if known is None or known[0] != stamp:
            known = _known[folder] = (stamp, read(folder))
        return known[1]


def _from_registry(registry: Registry, version: str) -> Adapter:
    folder = registry.path(version)
    entry = registry.get(version)
    return Adapter(version=version, folder=folder, hash=entry.files[_WEIGHTS], trained_on=entry.fingerprint)


def _from_folder(folder: Path) -> Adapter:
    if not (folder / _WEIGHTS).is_file():
        raise BadInputError(f"{folder} holds no {_WEIGHTS}: only safetensors adapters are loaded")
    return Adapter(version=None, folder=folder, hash=file_hash(folder / _WEIGHTS), trained_on=None)


class Adapters:
    """The base with each adapter that was asked for; the few used last are kept in memory.

    A small base is copied and the adapter merged into the copy: calls then cost what they cost on the bare base, and
    log-probabilities differ from the unmerged ones by rounding only. Merged weights are computed in fp32 and rounded
    once, to the base's precision. A large base gets its adapters attached beside its weights. Not thread-safe: the
    engine's thread owns it.
    """

    def __init__(self, base: Base, *, merged_bytes: int = _MERGED_BYTES) -> None:
        self._base = base
        self._merge = base.model.get_memory_footprint() <= merged_bytes
        self._merged: OrderedDict[Adapter, torch.nn.Module] = OrderedDict()
        self._beside: Any = None
        self._attached: OrderedDict[Adapter, str] = OrderedDict()
        self._active: Adapter | None = None
        self._count = 0

    def select(self, adapter: Adapter | None) -> torch.nn.Module:
        """The module to run for `adapter`; valid until the next `select`.

        Raises:
            FingerprintError: the adapter was trained on another base.
            CorruptFileError: its weights cannot be read.
            BadInputError: it is not LoRA, or does not fit the base.
        """
        if adapter is None:
            return self._select_none()
        if adapter.trained_on is not None and not adapter.trained_on.same_base(self._base.fingerprint):
            raise FingerprintError(
                f"{adapter} was trained on another base, tokenizer or chat template "
                f"than {self._base.name!r}: use it with its own base, or train one for this base"
            )
        return self._select_merged(adapter) if self._merge else self._select_beside(adapter)

    def _select_none(self) -> torch.nn.Module:
        if self._active is not None:
            self._beside.base_model.disable_adapter_layers()
            self._active = None
        return self._base.model

    def _select_merged(self, adapter: Adapter) -> torch.nn.Module:
        if adapter not in self._merged:
            with self._told_apart(adapter):
                model = _attach(adapter, copy.deepcopy(self._base.model), "default")
                _fill(adapter, model, "default")
            self._merged[adapter] = model.merge_and_unload().eval().requires_grad_(False)
            while len(self._merged) > KEPT:
                self._merged.popitem(last=False)
        self._merged.move_to_end(adapter)
        return self._merged[adapter]

    def _select_beside(self, adapter: Adapter) -> torch.nn.Module:
        if adapter not in self._attached:
            self._count += 1
            name = f"ratchet_{self._count}"
            with self._told_apart(adapter):
                self._beside = _attach(adapter, self._beside or self._base.model, name)
                try:
                    _fill(adapter, self._beside, name)
                except BaseException:
                    self._beside.delete_adapter(name)
                    raise
            self._attached[adapter] = name
            while len(self._attached) > KEPT:
                self._beside.delete_adapter(self._attached.popitem(last=False)[1])
        self._attached.move_to_end(adapter)
        if self._active != adapter:
            self._beside.base_model.enable_adapter_layers()
            self._beside.base_model.set_adapter(self._attached[adapter], inference_mode=True)
            self._active = adapter
        return self._base.model

    @contextmanager
    def _told_apart(self, adapter: Adapter) -> Iterator[None]:
        """Turns what goes wrong inside into an error about the file or about the fit."""
        from safetensors import SafetensorError

        self._active = None
        try:
            yield
        except RatchetError:
            raise
        except SafetensorError as error:
            raise CorruptFileError(
                f"{adapter} cannot be read ({error}), so it was not loaded: copy it again"
            ) from error
        except (RuntimeError, ValueError, TypeError, KeyError, OSError) as error:
            raise BadInputError(f"{adapter} does not fit the base {self._base.name!r}: {error}") from error


def _attach(adapter: Adapter, model: Any, name: str) -> Any:
    """`model` as a PEFT model that has a place for the adapter."""
    from peft import LoraConfig, PeftModel

    config = LoraConfig.from_pretrained(str(adapter.folder))
    if config.peft_type != "LORA":
        raise BadInputError(f"{adapter} is of the kind {config.peft_type}; only LORA adapters are supported")
    config.inference_mode = True
    if isinstance(model, PeftModel):
        model.add_adapter(name, config)
        return model
    with warnings.catch_warnings():
        # PEFT 0.21 reads a property that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return PeftModel(model, config, adapter_name=name)


def _fill(adapter: Adapter, model: Any, name: str) -> None:
    """Loads the adapter's weights into its place; all must be there and nothing else."""
    device = str(next(model.parameters()).device)
    result = model.load_adapter(str(adapter.folder), name, torch_device=device)
    if odd := [*result.missing_keys, *result.unexpected_keys]:
        raise ValueError(f"these weights are missing or do not belong: {', '.join(odd[:3])}")
