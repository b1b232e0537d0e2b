"""The base model: its files, its fingerprint, and the loaded model and tokenizer, once per process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, ToolCallingError, UnknownNameError
from langgraph_ratchet.core.ids import canonical_json, content_hash, file_hash

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POCKET = Path(__file__).parent / "pocket"
"""The model that ships in the package."""

_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
_FORMS = ("pocket", "local:PATH", "hf:ORGANISATION/NAME")
_DTYPES = ("float32", "bfloat16", "float16")

_TAGGED_JSON = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "reasoning_content": {"open": "<think>", "close": "</think>", "content": "text"},
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>", "content": "text"},
    },
}
"""Reads replies of the many ChatML models that ship no response template: JSON between <tool_call> tags."""


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
_loading = threading.Lock()


def load_base(name: str, *, dtype: str = "float32", device: str | None = None) -> Base:
    """The base model called `name`, loaded on first use and then shared by the process.

    Only safetensors are read and no code that comes with a model is run.

    Args:
        name: `pocket`, a folder, `local:PATH`, or a model of the Hugging Face hub (`hf:ID` or its id).
        dtype: of the weights: `float32`, `bfloat16` or `float16`.
        device: as torch names it; `None` takes a GPU when there is one.

    Raises:
        UnknownNameError: there is no such model.
        BadInputError: it has no chat template, or the files cannot be loaded.
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
            raise UnknownNameError("model", name, _known(), f"{folder} holds no config.json")
        return folder
    return _hub_path(rest if kind == "hf" else name, name)


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


@contextmanager
def _no_bar() -> Iterator[None]:
    """Keeps transformers' own progress bar off the terminal of whoever is loading."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _load(name: str, path: Path, dtype: str, device: str) -> Base:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        if not tokenizer.chat_template:
            raise BadInputError(f"model {name!r} has no chat template: use a chat model (often named -Instruct)")
        fingerprint = fingerprint_of(path, tokenizer)
        with _no_bar():
            model = AutoModelForCausalLM.from_pretrained(
                path, dtype=getattr(torch, dtype), local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BadInputError(f"model {name!r} could not be loaded from {path}: {error}") from error
    if getattr(tokenizer, "response_template", None) is None and _calls_in_tagged_json(tokenizer.chat_template):
        tokenizer.response_template = _TAGGED_JSON
    if backend := getattr(tokenizer, "backend_tokenizer", None):
        # A call that has to undo these while another thread encodes makes the tokenizer raise.
        backend.no_padding()
        backend.no_truncation()
    network: torch.nn.Module = model
    network.to(device).eval().requires_grad_(False)
    return Base(name=name, path=path, model=model, tokenizer=tokenizer, fingerprint=fingerprint)


def _hub_path(identifier: str, name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    except ImportError as error:
        raise MissingExtraError(f"the model {name!r}", "local") from error
    try:
        return Path(snapshot_download(identifier, allow_patterns=_FILES, local_files_only=True))
    except HFValidationError as error:
        raise UnknownNameError("model", name, _known(), "It is no folder, and no id of the hub") from error
    except OSError:
        pass  # not in the cache: ask the hub, unless HF_HUB_OFFLINE forbids it
    try:
        return Path(snapshot_download(identifier, allow_patterns=_FILES))
    except Exception as error:  # the hub raises what its HTTP library raises
        hint = f"It is no folder, not in the local cache, and the hub did not give it ({type(error).__name__})"
        raise UnknownNameError("model", name, _known(), hint) from error


def _known() -> list[str]:
    """The forms of a name, then the chat models that are in the hub's local cache."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cached = [f"hf:{repo.repo_id}" for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except (CacheNotFound, OSError):
        cached = []
    return [*_FORMS, *sorted(cached)]


def _calls_in_tagged_json(template: Any) -> bool:
    return isinstance(template, str) and "<tool_call>" in template and '"name": <function-name>' in template


def _tokenizer_content(tokenizer: "PreTrainedTokenizerBase") -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [sorted(tokenizer.get_vocab().items()), str(canonical_json(tokenizer.special_tokens_map))]
    content = orjson.loads(backend.to_str())
    # Padding and truncation are set by the last call that padded; they do not change what ids mean.
    return {key: value for key, value in content.items() if key not in ("padding", "truncation")}
