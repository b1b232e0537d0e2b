"""The adapter alone: PEFT loads it where its base has another name, and vLLM's rules are told."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import file_hash
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.training.export import export_model
from langgraph_ratchet.training.export.peft_folder import hub_id, vllm_note

_ALL = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})


def test_it_loads_by_the_base_path_that_was_given(
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    model_of: Callable[[str], Path],
    version_of: Callable[..., Any],
    reference: Callable[..., Any],
    logits: Callable[..., Any],
) -> None:
    version = version_of("qwen2")
    out = tmp_path / "out"
    record = export_model(version.id, out, format="peft", registry=registry, base_name="bases/mine")
    assert json.loads((out / "adapter_config.json").read_bytes())["base_model_name_or_path"] == "bases/mine"
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(model_of("qwen2"), elsewhere / "bases" / "mine")
    monkeypatch.chdir(elsewhere)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        loaded = AutoPeftModelForCausalLM.from_pretrained(out)
    assert (logits(loaded) - logits(reference("qwen2"))).abs().max() <= 1e-4
    assert AutoTokenizer.from_pretrained(out).chat_template == AutoTokenizer.from_pretrained("bases/mine").chat_template
    assert file_hash(out / "adapter_model.safetensors") == record.fingerprint.adapter == version.fingerprint.adapter
    assert record.notes == (
        "PEFT loads the base from bases/mine",
        "vLLM takes it with --enable-lora --max-lora-rank 8",
    )


def test_without_a_base_name_it_is_the_path_and_that_is_said(
    tmp_path: Path, registry: Registry, model_of: Callable[[str], Path], version_of: Callable[..., Any]
) -> None:
    record = export_model(version_of("qwen2").id, tmp_path / "out", format="peft", registry=registry)
    named = json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(model_of("qwen2").resolve())
    assert "give --base-name" in record.notes[1]


@pytest.mark.parametrize(
    ("base", "expected"),
    [("hf:Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"), ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"), ("pocket", None)],
)
def test_the_hub_s_id_in_a_name(base: str, expected: str | None) -> None:
    assert hub_id(base) == expected
    assert hub_id("local:/models/qwen") is None


def test_a_bare_base_has_no_adapter(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(BadInputError, match="bare base and has no adapter"):
        export_model(None, tmp_path / "out", format="peft", registry=registry, base="pocket")


@pytest.mark.parametrize(
    ("settings", "layers", "said"),
    [
        ({"r": 16}, _ALL, "takes it with --enable-lora --max-lora-rank 16"),
        ({"r": 17}, _ALL, "takes it with --enable-lora --max-lora-rank 32"),
        ({"r": 600}, _ALL, "rank is above 512"),
        ({"r": 8, "use_dora": True}, _ALL, "it is DoRA"),
        ({"r": 8, "bias": "all"}, _ALL, "it trains biases"),
        ({"r": 8, "modules_to_save": ["lm_head"]}, _ALL, "it saves whole modules"),
        ({"r": 8, "rank_pattern": {"q_proj": 4}}, _ALL, "layers have different ranks"),
        ({"r": 8}, _ALL | {"embed_tokens"}, "it changes embed_tokens"),
    ],
)
def test_vllm_s_rules(settings: dict[str, Any], layers: frozenset[str], said: str) -> None:
    note = vllm_note(settings, layers)
    assert said in note
    assert ("--format merged" in note) == ("takes it with" not in note)
