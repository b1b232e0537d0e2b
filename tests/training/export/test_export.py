"""An export is verified before it is read, there whole or not at all, and says where it comes from."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from safetensors.torch import load_file, save_file

from langgraph_ratchet.core.errors import (
    BadInputError,
    CorruptFileError,
    ExportError,
    FingerprintError,
    UnknownNameError,
)
from langgraph_ratchet.core.ids import file_hash
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.training.export import FORMATS, ExportRecord, export_model

Version = Callable[..., Any]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the export goes: a folder that holds nothing else."""
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports" / "mine"


def left(out: Path) -> list[str]:
    """Everything beside the export, hidden or not."""
    return sorted(path.name for path in out.parent.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_the_record_names_version_hashes_lineage_and_files(
    format: str, out: Path, registry: Registry, version_of: Version
) -> None:
    parent = version_of("qwen2")
    version = version_of("qwen2", parent=parent.id, dataset="e" * 64)
    registry.promote(version.id, expected=None, reason="better")
    export_model("champion", out, format=format, registry=registry)
    record = ExportRecord.model_validate_json((out / "ratchet.json").read_bytes())
    assert (record.format, record.version, record.base) == (format, version.id, version.base)
    assert record.fingerprint == version.fingerprint
    assert [(ancestor.id, ancestor.dataset_hash) for ancestor in record.lineage] == [
        (version.id, "e" * 64),
        (parent.id, "d" * 64),
    ]
    assert record.files == {path.name: file_hash(path) for path in out.iterdir() if path.name != "ratchet.json"}
    assert left(out) == ["mine"]


def test_lineage_ends_where_the_registry_knows_no_more(out: Path, registry: Registry, version_of: Version) -> None:
    version = version_of("qwen2", parent="v_of_another_registry")
    record = export_model(version.id[:8], out, format="peft", registry=registry)
    assert [(ancestor.id, ancestor.dataset_hash) for ancestor in record.lineage] == [
        (version.id, version.dataset_hash),
        ("v_of_another_registry", None),
    ]


def test_a_changed_adapter_is_not_read(out: Path, registry: Registry, version_of: Version) -> None:
    version = version_of("qwen2")
    export_model(version.id, out, format="peft", registry=registry)
    shutil.rmtree(out)
    weights = registry.root / "versions" / version.id / "adapter_model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    # Same size, same times as when it was read a moment ago: only the hash tells.
    times = (weights.stat().st_atime_ns, weights.stat().st_mtime_ns)
    weights.write_bytes(changed)
    os.utime(weights, ns=times)
    with pytest.raises(CorruptFileError, match="has SHA-256"):
        export_model(version.id, out, format="merged", registry=registry)
    assert left(out) == []


def test_another_base_is_refused(
    out: Path, registry: Registry, version_of: Version, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_model(tmp_path / "other", "qwen2", initializer_range=0.1)
    with pytest.raises(FingerprintError, match="trained on another base"):
        export_model(version_of("qwen2").id, out, format="merged", registry=registry, base=str(other))
    assert left(out) == []


def test_a_base_that_moved_can_be_named(
    out: Path, registry: Registry, version_of: Version, model_of: Callable[[str], Path], tmp_path: Path
) -> None:
    moved = shutil.copytree(model_of("qwen2"), tmp_path / "moved")
    record = export_model(version_of("qwen2").id, out, format="merged", registry=registry, base=f"local:{moved}")
    assert record.base == f"local:{moved}"


def test_an_adapter_that_does_not_fit_one_that_lacks_a_weight_and_one_that_is_cut_short(
    out: Path,
    registry: Registry,
    model_of: Callable[[str], Path],
    adapter_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    adapter = shutil.copytree(adapter_of("qwen2"), tmp_path / "adapter")
    with pytest.raises(BadInputError, match=r"adapter .* cannot be merged into the base 'pocket'"):
        export_model(str(adapter), out, format="merged", registry=registry, base="pocket")
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    lost = next(iter(tensors))
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, weights)
    with pytest.raises(BadInputError, match="these weights are missing or do not belong: .*lora_"):
        export_model(str(adapter), out, format="merged", registry=registry, base=str(model_of("qwen2")))
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(CorruptFileError, match="a weights file cannot be read"):
        export_model(str(adapter), out, format="merged", registry=registry, base="pocket")
    assert left(out) == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("v_none", {}, "unknown model version 'v_none'"),
        ("champion", {}, "unknown model version 'champion'.* No version has been promoted yet"),
        (None, {"base": "local:/nowhere"}, "unknown model 'local:/nowhere'"),
        (None, {"base": "pocket", "format": "onnx"}, "unknown export format 'onnx'; known: merged, peft, gguf"),
    ],
)
def test_unknown_names(
    name: str | None, arguments: dict[str, Any], message: str, out: Path, registry: Registry
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        export_model(name, out, **{"format": "merged", "registry": registry, **arguments})
    assert left(out) == []


def test_options_that_do_not_go_with_the_format(out: Path, registry: Registry) -> None:
    with pytest.raises(BadInputError, match="--dtype goes with merged and gguf"):
        export_model(None, out, format="peft", registry=registry, base="pocket", dtype="float16")
    with pytest.raises(BadInputError, match="--base-name goes with peft"):
        export_model(None, out, format="gguf", registry=registry, base="pocket", base_name="me/mine")
    with pytest.raises(BadInputError, match="no base model is named"):
        export_model(None, out, format="gguf", registry=registry)


def test_what_is_there_stays_unless_it_is_an_export_and_may_be_replaced(out: Path, registry: Registry) -> None:
    def export(**arguments: Any) -> ExportRecord:
        return export_model(None, out, format="gguf", registry=registry, base="pocket", **arguments)

    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for replace in (False, True):
        with pytest.raises(BadInputError, match="is there already|is no earlier export"):
            export(replace=replace)
    assert (out / "thesis.txt").read_text() == "years of work"
    shutil.rmtree(out)
    first = export()
    with pytest.raises(BadInputError, match="is there already.*--force"):
        export()
    assert ExportRecord.model_validate_json((out / "ratchet.json").read_bytes()) == first
    second = export(dtype="float16", replace=True)
    assert ExportRecord.model_validate_json((out / "ratchet.json").read_bytes()) == second
    assert left(out) == ["mine"]


def test_an_export_is_a_base_for_another(out: Path, registry: Registry) -> None:
    export_model(None, out, format="merged", registry=registry, base="pocket")
    record = export_model(None, out.with_name("again"), format="merged", registry=registry, base=str(out))
    assert "ratchet.json" not in record.files
    assert ExportRecord.model_validate_json((out.with_name("again") / "ratchet.json").read_bytes()) == record


def test_a_stopped_export_leaves_the_earlier_one(out: Path, registry: Registry) -> None:
    export_model(None, out, format="gguf", registry=registry, base="pocket")
    before = file_hash(out / "model.gguf")

    def stop(progress: Progress) -> None:
        if progress.phase == "write" and progress.done == 20:
            assert (out.parent / ".mine.unfinished" / "model.gguf").stat().st_size > 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(
            None, out, format="gguf", registry=registry, base="pocket", dtype="q8_0", replace=True, on_progress=stop
        )
    assert left(out) == ["mine"]
    assert file_hash(out / "model.gguf") == before


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond a megabyte, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("format", ["merged", "gguf"])
def test_a_full_disk_is_said_and_leaves_nothing(format: str, out: Path, registry: Registry) -> None:
    with pytest.raises(ExportError, match=r"could not be exported to .*mine: .* nothing half-made is left"):
        export_model(None, out, format=format, registry=registry, base="pocket")
    assert left(out) == []


def test_a_killed_export_s_leavings_are_removed_and_a_running_one_s_are_not(out: Path, registry: Registry) -> None:
    unfinished = out.parent / ".mine.unfinished"
    unfinished.mkdir()
    (unfinished / "half.safetensors").write_bytes(b"half")
    with FileLock(out.parent / ".mine.exporting"), pytest.raises(BadInputError, match="another process is exporting"):
        export_model(None, out, format="gguf", registry=registry, base="pocket")
    assert (unfinished / "half.safetensors").exists()
    export_model(None, out, format="gguf", registry=registry, base="pocket")
    assert left(out) == ["mine"]
    assert "half.safetensors" not in os.listdir(out)


def test_progress_is_told_by_phase(out: Path, registry: Registry) -> None:
    told: list[Progress] = []
    export_model(None, out, format="gguf", registry=registry, base="pocket", on_progress=told.append)
    assert list(dict.fromkeys(progress.phase for progress in told)) == ["verify", "merge", "write"]
    assert told[-1].done == told[-1].total == 38
