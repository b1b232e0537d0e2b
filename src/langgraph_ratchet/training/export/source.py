"""What is exported: a base and the adapter on it, found, verified, and merged in float32."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from langgraph_ratchet.chat_models.base import base_path, fingerprint_of
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError, CorruptFileError, FingerprintError, MissingExtraError
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.registry.adapter import CONFIGURATION, WEIGHTS

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_VOCABULARY_LAYERS = ("embed_tokens", "lm_head")


@dataclass(frozen=True)
class Source:
    """A base, and the adapter on it if there is one. Their files were whole when this was made."""

    base: str
    """Name that the base was found by."""
    path: Path
    """Folder of the base's files."""
    tokenizer: "PreTrainedTokenizerBase"
    fingerprint: Fingerprint
    """Of the base, with the adapter's hash."""
    adapter: Path | None
    """Folder of the adapter."""
    version: ModelVersion | None

    @property
    def name(self) -> str:
        """For people: the version's id, or the adapter folder's name, or the base's."""
        if self.version is not None:
            return self.version.id
        return self.adapter.name if self.adapter else self.path.name

    @property
    def adapter_configuration(self) -> dict[str, Any]:
        """The adapter's `adapter_config.json`; empty without an adapter."""
        if self.adapter is None:
            return {}
        found: dict[str, Any] = orjson.loads((self.adapter / CONFIGURATION).read_bytes())
        return found


def find_source(name: str | None, registry: Registry, base: str | None) -> Source:
    """Finds and verifies what is called `name`.

    Args:
        name: a version's id, a unique beginning of one, `champion`, or an adapter's folder; `None` is the bare base.
        registry: where versions are looked up.
        base: name of the base; `None` takes the one that the version or the adapter names.

    Raises:
        UnknownNameError: there is no such version or base.
        CorruptFileError: a file of the version is not what it was when it was added.
        FingerprintError: the adapter was trained on another base than this one.
        BadInputError: no base is named.
        MissingExtraError: torch, transformers or peft is not installed.
    """
    try:
        import peft  # noqa: F401  # a clear error before anything is read
        import torch  # noqa: F401  # likewise
        from transformers import AutoTokenizer

        from langgraph_ratchet.chat_models.adapters import resolve_adapter
    except ImportError as error:
        raise MissingExtraError("exporting a model", "local") from error
    adapter = resolve_adapter(name, registry)
    version = None
    if name is not None and (adapter is None or adapter.version is not None):
        version = registry.get(adapter.version if adapter and adapter.version else name)
        registry.verify(version.id)
    base = base or (version.base if version else _named_base(adapter.folder) if adapter else None)
    if base is None:
        raise BadInputError("no base model is named: give a version, or the base's name with --model")
    path = base_path(base).resolve()
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise BadInputError(f"the tokenizer of model {base!r} could not be loaded from {path}: {error}") from error
    found = fingerprint_of(path, tokenizer)
    if adapter and adapter.trained_on and not adapter.trained_on.same_base(found):
        raise FingerprintError(
            f"{adapter} was trained on another base, tokenizer or chat template than {base!r} is now: export it with "
            "its own base (--model), or train one for this base"
        )
    return Source(
        base=base,
        path=path,
        tokenizer=tokenizer,
        fingerprint=found.model_copy(update={"adapter": adapter.hash if adapter else None}),
        adapter=adapter.folder if adapter else None,
        version=version,
    )


def load_merged(source: Source, on_progress: OnProgress) -> "tuple[PreTrainedModel, str]":
    """The base with the adapter merged into it, in float32 on the CPU, and the dtype that the base is stored in.

    It is loaded anew: nothing else in the process uses these weights. They take 4 bytes a parameter.

    Raises:
        BadInputError: the files cannot be loaded, or the adapter cannot be merged into this base.
        CorruptFileError: the adapter's weights cannot be read.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    on_progress(Progress(phase="merge", done=0, total=1))
    with _told_apart(f"the base {source.base!r} could not be loaded from {source.path}"):
        config = AutoConfig.from_pretrained(source.path, local_files_only=True, trust_remote_code=False)
        if getattr(config, "quantization_config", None) is not None:
            raise BadInputError(f"the base {source.base!r} is quantised: nothing is merged into it, use --format peft")
        model = AutoModelForCausalLM.from_pretrained(
            source.path, dtype="auto", local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    stored = str(model.dtype).removeprefix("torch.")
    model = model.float().eval().requires_grad_(False)
    if source.adapter is not None:
        with _told_apart(f"the adapter {source.name} cannot be merged into the base {source.base!r}"):
            model = _merge(model, source.adapter)
    on_progress(Progress(phase="merge", done=1, total=1))
    return model, stored


def _merge(model: Any, adapter: Path) -> Any:
    from peft import LoraConfig, PeftModel
    from safetensors import safe_open

    config = LoraConfig.from_pretrained(str(adapter))
    if config.peft_type != "LORA":
        raise BadInputError(f"{adapter} is of the kind {config.peft_type}; only LORA adapters are merged")
    with safe_open(adapter / WEIGHTS, framework="pt") as file:
        names = file.keys()
    vocabulary = [name for name in names if any(layer in name for layer in _VOCABULARY_LAYERS)]
    if vocabulary and model.config.tie_word_embeddings:
        raise BadInputError(
            f"{adapter} changes {vocabulary[0]}, and in this base embedding and output share one matrix: merged, a "
            "change to one would change both. Export it with --format peft"
        )
    config.inference_mode = True
    with warnings.catch_warnings():
        # PEFT 0.21 reads a property that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        peft_model = PeftModel(model, config)
    result = peft_model.load_adapter(str(adapter), "default", torch_device="cpu")
    if odd := [*result.missing_keys, *result.unexpected_keys]:
        raise ValueError(f"these weights are missing or do not belong: {', '.join(odd[:3])}")
    return peft_model.merge_and_unload(safe_merge=True)


def _named_base(adapter: Path) -> str | None:
    """What a PEFT folder names as its base: a folder, or a model of the hub."""
    try:
        named = orjson.loads((adapter / CONFIGURATION).read_bytes()).get("base_model_name_or_path")
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise BadInputError(f"{adapter / CONFIGURATION} is not a JSON object: {error}") from error
    return str(named) if named else None


@contextmanager
def _told_apart(what: str) -> Iterator[None]:
    """Turns what libraries raise inside into one error that begins with `what`."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise CorruptFileError(f"{what}: a weights file cannot be read ({error}); copy it again") from error
    except (RuntimeError, ValueError, TypeError, KeyError, OSError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(f"{what}: {error}") from error
