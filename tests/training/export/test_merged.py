"""Merged weights: what plain transformers makes of the folder equals base and adapter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from langgraph_ratchet.chat_models.base import POCKET, load_base
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.training.export import export_model


@pytest.mark.parametrize("shape", ["pocket", "qwen3"])
def test_logits_equal_those_of_base_and_adapter(
    shape: str,
    tmp_path: Path,
    registry: Registry,
    model_of: Callable[[str], Path],
    adapter_of: Callable[[str], Path],
    reference: Callable[..., Any],
    logits: Callable[..., Any],
) -> None:
    base = "pocket" if shape == "pocket" else str(model_of(shape))
    export_model(str(adapter_of(shape)), tmp_path / "out", format="merged", registry=registry, base=base)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = logits(reference(shape))
    assert (logits(merged) - expected).abs().max() <= 1e-4
    assert (logits(reference(shape, adapted=False)) - expected).abs().max() > 0.1


def test_it_is_a_base_of_its_own_with_the_same_tokenizer_template_and_settings(
    tmp_path: Path, registry: Registry, adapter_of: Callable[[str], Path]
) -> None:
    export_model(str(adapter_of("pocket")), tmp_path / "out", format="merged", registry=registry, base="pocket")
    exported, pocket = load_base(str(tmp_path / "out")), load_base("pocket")
    assert exported.fingerprint.tokenizer == pocket.fingerprint.tokenizer
    assert exported.fingerprint.template == pocket.fingerprint.template
    assert exported.fingerprint.base != pocket.fingerprint.base
    assert exported.end_ids == pocket.end_ids
    settings = "generation_config.json"
    assert (tmp_path / "out" / settings).read_bytes() == (POCKET / settings).read_bytes()
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def test_a_bfloat16_base_stays_one_and_the_sum_is_rounded_once(
    tmp_path: Path, registry: Registry, make_model: Callable[..., Path], make_adapter: Callable[..., Path]
) -> None:
    base = make_model(tmp_path / "base", "qwen2", dtype="bfloat16")
    adapter = make_adapter(tmp_path / "adapter", base)
    record = export_model(str(adapter), tmp_path / "out", format="merged", registry=registry, base=str(base))
    assert record.dtype == "bfloat16"
    before, after, lora = (
        load_file(path)
        for path in (base / "model.safetensors", tmp_path / "out" / "model.safetensors", adapter / _ADAPTER)
    )
    assert before.keys() == after.keys()
    changed = 0
    for name, weight in after.items():
        place = f"base_model.model.{name.removesuffix('.weight')}"
        expected = before[name].float()
        if f"{place}.lora_A.weight" in lora:
            changed += 1
            expected = expected + 2.0 * lora[f"{place}.lora_B.weight"].float() @ lora[f"{place}.lora_A.weight"].float()
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, expected.bfloat16()), name
    assert changed == 2 * 7


_ADAPTER = "adapter_model.safetensors"


def test_another_dtype_when_asked(tmp_path: Path, registry: Registry) -> None:
    export_model(None, tmp_path / "out", format="merged", registry=registry, base="pocket", dtype="float16")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").dtype == torch.float16
    with pytest.raises(UnknownNameError, match="unknown dtype of merged weights 'q8_0'; known: float32, "):
        export_model(None, tmp_path / "out2", format="merged", registry=registry, base="pocket", dtype="q8_0")
    assert not (tmp_path / "out2").exists()


def test_a_weight_that_float16_cannot_hold_is_refused(
    tmp_path: Path, registry: Registry, make_model: Callable[..., Path]
) -> None:
    base = make_model(tmp_path / "base", "qwen2")
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][3] = 1e6
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInputError, match=r"model\.norm\.weight does not fit float16: .*bfloat16"):
        export_model(None, tmp_path / "out", format="merged", registry=registry, base=str(base), dtype="float16")


def test_a_quantised_base_is_refused(tmp_path: Path, registry: Registry, make_model: Callable[..., Path]) -> None:
    base = make_model(tmp_path / "base", "qwen2")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(BadInputError, match="is quantised"):
        export_model(None, tmp_path / "out", format="merged", registry=registry, base=str(base))


def test_an_adapter_of_a_shared_vocabulary_matrix_is_not_merged(
    tmp_path: Path, registry: Registry, model_of: Callable[[str], Path], make_adapter: Callable[..., Path]
) -> None:
    base = model_of("qwen2")
    adapter = make_adapter(tmp_path / "adapter", base, target_modules=["embed_tokens"])
    with pytest.raises(BadInputError, match=r"changes .*embed_tokens.* share one matrix.*--format peft"):
        export_model(str(adapter), tmp_path / "out", format="merged", registry=registry, base=str(base))


def test_text_of_a_chat_is_rendered_as_before(tmp_path: Path, registry: Registry) -> None:
    export_model(None, tmp_path / "out", format="merged", registry=registry, base="pocket")
    chat = [{"role": "user", "content": "What is 12 + 30?"}]
    ids = [
        AutoTokenizer.from_pretrained(path).apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        for path in (POCKET, tmp_path / "out")
    ]
    assert ids[0] == ids[1]
