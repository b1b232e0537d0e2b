"""Exports a model version: finds it, verifies it, and writes it with a record of where it comes from."""

import time
from importlib.metadata import version
from pathlib import Path

from langgraph_ratchet.chat_models.base import no_bars
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.ids import file_hash
from langgraph_ratchet.core.installation import DISTRIBUTION
from langgraph_ratchet.core.progress import OnProgress, Progress, silent
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.training.export.folder import RECORD, check_free, new_folder
from langgraph_ratchet.training.export.gguf_model import FILE, write_gguf
from langgraph_ratchet.training.export.merged import write_merged
from langgraph_ratchet.training.export.modelfile import modelfile
from langgraph_ratchet.training.export.peft_folder import write_peft
from langgraph_ratchet.training.export.record import ExportRecord, lineage_of
from langgraph_ratchet.training.export.source import Source, find_source

FORMATS = {
    "merged": "one model: for transformers, vLLM and most other programs",
    "peft": "the adapter alone: for PEFT, and for vLLM over the base",
    "gguf": "one file: for llama.cpp and Ollama",
}
"""Format to one line of what it is for."""


def export_model(
    name: str | None,
    out: Path,
    *,
    format: str,
    registry: Registry,
    base: str | None = None,
    base_name: str | None = None,
    dtype: str | None = None,
    replace: bool = False,
    on_progress: OnProgress = silent,
) -> ExportRecord:
    """Writes a model version to `out`, whole or not at all, with `ratchet.json` beside the model.

    Args:
        name: a version's id, a unique beginning of one, `champion`, or an adapter's folder; `None` is the bare base.
        out: the folder to make.
        format: one of `FORMATS`.
        registry: where versions are looked up.
        base: name of the base model; `None` takes the one that the version or the adapter names.
        base_name: of `peft`: what the base is called where the folder is used, an id of the hub or a path.
        dtype: of the weights: `float32`, `bfloat16`, `float16`, and of `gguf` also `q8_0`; `None` keeps the base's.
        replace: whether an earlier export at `out` may be replaced.
        on_progress: told of each phase.

    Raises:
        UnknownNameError: there is no such version, base, format or dtype.
        BadInputError: `out` is taken, or this model cannot be written in this format; it says why.
        CorruptFileError: a file of the version is not what it was when it was added to the registry.
        FingerprintError: the adapter was trained on another base.
        MissingExtraError: torch, transformers, peft or gguf is not installed.
        ExportError: the files could not be written. Nothing half-made is left.
    """
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    if format == "peft" and dtype is not None:
        raise BadInputError("--dtype goes with merged and gguf: an adapter is exported as it was trained")
    if format != "peft" and base_name is not None:
        raise BadInputError("--base-name goes with peft: the other formats hold the base themselves")
    check_free(out, replace=replace)
    on_progress(Progress(phase="verify", done=0, total=1))
    source = find_source(name, registry, base)
    on_progress(Progress(phase="verify", done=1, total=1))
    with new_folder(out, replace=replace) as folder, no_bars():
        notes: tuple[str, ...]
        if format == "peft":
            written, notes = None, write_peft(source, folder, base_name)
        elif format == "merged":
            written, notes = (
                write_merged(source, folder, dtype, on_progress),
                ("vLLM and transformers load the folder by its path",),
            )
        else:
            written = write_gguf(source, folder, dtype, on_progress)
            (folder / "Modelfile").write_text(modelfile(source.tokenizer, FILE), encoding="utf-8")
            notes = (f"llama-server --jinja -m {FILE}", "ollama create NAME -f Modelfile")
        record = _record(source, folder, format, written, notes, registry)
        (folder / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return record


def _record(
    source: Source, folder: Path, format: str, dtype: str | None, notes: tuple[str, ...], registry: Registry
) -> ExportRecord:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return ExportRecord(
        format=format,
        dtype=dtype,
        version=source.version.id if source.version else None,
        base=source.base,
        fingerprint=source.fingerprint,
        lineage=lineage_of(source.version, registry),
        notes=notes,
        files={path.relative_to(folder).as_posix(): file_hash(path) for path in files},
        made_with=version(DISTRIBUTION),
        created_at=time.time(),
    )
