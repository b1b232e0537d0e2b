"""`ratchet models export`: the champion as files for other programs, from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry

Ratchet = Callable[..., Result]


@pytest.fixture
def champion(folder: Path, tiny_model: Path, tmp_path: Path) -> ModelVersion:
    """A version over the tiny model, in the registry that the command reads."""
    import warnings

    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from langgraph_ratchet.chat_models.base import fingerprint_of

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), config)
    model.save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "README.md").unlink(missing_ok=True)
    registry = Registry(folder / ".ratchet" / "models")
    version = registry.add(
        tmp_path / "adapter",
        base=f"local:{tiny_model}",
        parent=None,
        dataset_hash="d" * 64,
        trace_ids=[],
        fingerprint=fingerprint_of(tiny_model, AutoTokenizer.from_pretrained(tiny_model)),
        training=None,
        arguments={},
    )
    registry.promote(version.id, expected=None, reason="better")
    return version


@pytest.mark.parametrize(
    ("format", "file"), [("merged", "model.safetensors"), ("peft", "adapter_config.json"), ("gguf", "model.gguf")]
)
def test_the_champion_is_exported_and_the_record_is_the_json(
    format: str, file: str, ratchet: Ratchet, folder: Path, champion: ModelVersion
) -> None:
    done = ratchet("models", "export", "champion", "--format", format, "--out", "mine", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["folder"], result["version"], result["format"]) == ("mine", champion.id, format)
    assert file in result["files"]
    assert {path.name for path in (folder / "mine").iterdir()} == {*result["files"], "ratchet.json"}


def test_people_are_told_what_was_written_and_how_to_use_it(ratchet: Ratchet, champion: ModelVersion) -> None:
    done = ratchet("models", "export", champion.id[:8], "--format", "gguf", "--dtype", "float16", "--out", "mine")
    assert done.exit_code == 0
    assert "mine (Modelfile, model.gguf)" in done.stdout
    assert "ollama create NAME -f Modelfile" in done.stdout
    again = ratchet("models", "export", champion.id[:8], "--format", "gguf", "--out", "mine")
    assert again.exit_code == ExitStatus.FAILED
    assert again.stderr.startswith("error: ")
    assert "is there already" in again.stderr
    forced = ratchet("models", "export", champion.id[:8], "--format", "merged", "--out", "mine", "--force")
    assert forced.exit_code == 0


def test_a_bare_base_is_exported_by_its_name(ratchet: Ratchet, tiny_model: Path, folder: Path) -> None:
    done = ratchet("models", "export", "--model", f"local:{tiny_model}", "--format", "gguf", "--out", "base")
    assert done.exit_code == 0
    assert json.loads((folder / "base" / "ratchet.json").read_text())["version"] is None


def test_wrong_usage(ratchet: Ratchet) -> None:
    for arguments in (("--format", "onnx", "--out", "x"), ("--format", "gguf", "--out", "x"), ("champion",)):
        assert ratchet("models", "export", *arguments).exit_code == ExitStatus.WRONG_USAGE


def test_an_unknown_version_is_one_line(ratchet: Ratchet, folder: Path) -> None:
    done = ratchet("models", "export", "v_none", "--format", "peft", "--out", "mine")
    assert done.exit_code == ExitStatus.FAILED
    assert done.stderr.startswith("error: unknown model version 'v_none'")
    assert not list(folder.glob("*mine*"))
