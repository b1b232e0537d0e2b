"""The base model: its files, its fingerprint, and the loaded model and tokenizer, once per process."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from langgraph_ratchet.chat_models.device import processor_bf16
from langgraph_ratchet.chat_models.hub import hub_path, known_models
from langgraph_ratchet.chat_models.text.families import response_template_for
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, ToolCallingError, UnknownNameError
from langgraph_ratchet.core.ids import canonical_json, content_hash, file_hash

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POCKET = Path(__file__).parent / "pocket"
"""The model that ships in the package."""

_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, eq=False)
class Base:
    """A loaded base model. Its weights are never changed: adapters are applied to copies or beside it."""

    name: str
    """As it was asked for; `load_base` takes it again."""
    path: Path
    """Folder that holds the files."""
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    fingerprint: Fingerprint

    @property
    def context(self) -> int:
        """Most tokens, prompt and completion together, that the model takes."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 1 << 31)

    @property
    def end_ids(self) -> frozenset[int]:
        """Token ids that end a turn."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        listed = configured if isinstance(configured, list) else [configured]
        return frozenset(token for token in (*listed, self.tokenizer.eos_token_id) if token is not None)


_loaded: dict[tuple[Path, str, str], Base] = {}
_READING_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError)
"""What transformers raises for files that are damaged or say what cannot be."""

_fingerprints: dict[Path, Fingerprint] = {}
_loading = threading.Lock()


def load_base(name: str, *, dtype: str = "float32", device: str | None = None) -> Base:
    """The base model called `name`, loaded on first use and then shared by the process.

    Only safetensors are read and no code that comes with a model is run.

    Args:
        name: `pocket`, a folder, `local:PATH`, or a model of the Hugging Face hub (`hf:ID` or its id).
        dtype: of the weights: `float32`, `bfloat16` or `float16`. In bf16 log-probabilities are off by up to 0.05;
            where the device has no such instructions it is slow too, which a `UserWarning` says.
        device: as torch names it; `None` takes a GPU of CUDA when there is one, else the processor.

    Raises:
        UnknownNameError: there is no such model.
        BadInputError: it has no chat template, the files cannot be loaded, or the device cannot be used.
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch
        import transformers  # noqa: F401  # a clear error before the files are looked for
    except ImportError as error:
        raise MissingExtraError(f"running the model {name!r} in process", "local") from error
    if dtype not in _DTYPES:
        raise UnknownNameError("dtype", dtype, _DTYPES)
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    path = Path(base_path(name)).resolve()
    with _loading:
        key = (path, dtype, where)
        if key not in _loaded:
            if dtype == "bfloat16" and not _calculates_in_bf16(where):
                warnings.warn(
                    f"{where} has no bf16 instructions: model {name!r} will run, but slower than in float32 and less "
                    "exactly; use dtype='float32'",
                    stacklevel=2,
                )
            _loaded[key] = _load(name, path, dtype, where)
        return _loaded[key]


def base_path(name: str) -> Path:
    """Folder of the model called `name`; a hub model is looked up in the local cache first, then downloaded.

    Raises:
        UnknownNameError: there is no such folder or hub model (or it is not in the cache and the hub is offline).
    """
    if name == "pocket":
        return POCKET
    kind, _, rest = name.partition(":")
    if kind == "local" or (kind != "hf" and Path(name).is_dir()):
        folder = Path(rest if kind == "local" else name).expanduser()
        if not (folder / "config.json").is_file():
            raise UnknownNameError("model", name, known_models(), f"{folder} holds no config.json")
        return folder
    return hub_path(rest if kind == "hf" else name, name)


def require_tools_in_template(name: str) -> None:
    """Raises `ToolCallingError` if the files of a local model show, unread by transformers, that it takes no tools.

    A template that renders tools names them. Of a hub model nothing is known before it is loaded.
    """
    if name != "pocket" and not name.startswith("local:") and not Path(name).is_dir():
        return
    folder = base_path(name)
    named = ("tokenizer_config.json", "chat_template*", "additional_chat_templates/*")
    files = [file for pattern in named for file in folder.glob(pattern)]
    if not any("tools" in file.read_text(encoding="utf-8") for file in files):
        raise ToolCallingError(
            f"model {name!r} cannot call tools: its chat template does not render them. "
            "Use a model whose template takes `tools`, or offer no tools"
        )


def fingerprint_of(path: Path, tokenizer: "PreTrainedTokenizerBase") -> Fingerprint:
    """Hashes of the weight files in `path`, of the tokenizer and of its chat template.

    Raises:
        BadInputError: there are no safetensors in `path`.
    """
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise BadInputError(f"{path} holds no .safetensors file: only safetensors are loaded; convert the model first")
    return Fingerprint(
        base=content_hash({file.name: file_hash(file) for file in weights}),
        tokenizer=content_hash(_tokenizer_content(tokenizer)),
        template=content_hash(tokenizer.chat_template),
    )


def base_fingerprint(name: str) -> Fingerprint:
    """The fingerprint of the base model called `name`, whose weights are hashed but not loaded; once per process.

    Raises:
        UnknownNameError: there is no such model.
        BadInputError: it has no chat template or no safetensors, or its tokenizer cannot be loaded.
        MissingExtraError: transformers is not installed.
    """
    path = Path(base_path(name)).resolve()
    with _loading:
        loaded = next((base.fingerprint for (folder, *_), base in _loaded.items() if folder == path), None)
        if loaded is None and path not in _fingerprints:
            _fingerprints[path] = fingerprint_of(path, _load_tokenizer(name, path))
        return loaded or _fingerprints[path]


@contextmanager
def no_bars() -> Iterator[None]:
    """Keeps transformers' own progress bars off the terminal of whoever is loading."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _load_tokenizer(name: str, path: Path) -> "PreTrainedTokenizerBase":
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError(f"the tokenizer of the model {name!r}", "local") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the parser of tokenizers raises nothing more special
        raise BadInputError(f"the tokenizer of model {name!r} could not be loaded from {path}: {error}") from error
    if not tokenizer.chat_template:
        raise BadInputError(f"model {name!r} has no chat template: use a chat model (often named -Instruct)")
    if getattr(tokenizer, "response_template", None) is None:
        tokenizer.response_template = response_template_for(tokenizer.chat_template)
    if backend := getattr(tokenizer, "backend_tokenizer", None):
        # A call that has to undo these while another thread encodes makes the tokenizer raise.
        backend.no_padding()
        backend.no_truncation()
    return tokenizer


def _load(name: str, path: Path, dtype: str, device: str) -> Base:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    tokenizer = _load_tokenizer(name, path)
    fingerprint = fingerprint_of(path, tokenizer)
    try:
        with no_bars():
            model, found = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (*_READING_ERRORS, SafetensorError) as error:
        raise BadInputError(f"model {name!r} could not be loaded from {path}: {error}") from error
    if missing := sorted(found["missing_keys"]):
        # They would be drawn at random, and a model that half exists would seem to run.
        raise BadInputError(
            f"model {name!r} in {path} lacks {len(missing)} weights, {missing[0]} among them: download it again"
        )
    network: torch.nn.Module = model
    try:
        network.to(device).eval().requires_grad_(False)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise BadInputError(f"model {name!r} could not be put on the device {device!r} as {dtype}: {error}") from error
    return Base(name=name, path=path, model=model, tokenizer=tokenizer, fingerprint=fingerprint)


def _calculates_in_bf16(device: str) -> bool:
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device != "cpu" or processor_bf16() is not False


def _tokenizer_content(tokenizer: "PreTrainedTokenizerBase") -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [sorted(tokenizer.get_vocab().items()), str(canonical_json(tokenizer.special_tokens_map))]
    content = orjson.loads(backend.to_str())
    # Padding and truncation are set by the last call that padded; they do not change what ids mean.
    return {key: value for key, value in content.items() if key not in ("padding", "truncation")}
