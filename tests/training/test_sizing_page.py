"""The sizing page says what its formulas give, and the formulas give what real models of such shapes have and do."""

import dataclasses
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, DynamicCache, Qwen3Config

from langgraph_ratchet.training.adapter import attached_lora
from langgraph_ratchet.training.job import Job, Lora
from langgraph_ratchet.training.token_losses import token_losses

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sizing() -> Iterator[ModuleType]:
    """benchmarks/sizing.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("sizing")


@pytest.fixture(scope="module")
def formulas(sizing: ModuleType) -> ModuleType:
    """benchmarks/sizing_formulas.py."""
    return importlib.import_module("sizing_formulas")


def model_of(shape: Any, attention: str = "sdpa") -> Any:
    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head,
        tie_word_embeddings=True,
    )
    # Eager attention: what a fused one does, torch does not count.
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).requires_grad_(False)


@pytest.fixture(scope="module")
def small(formulas: ModuleType) -> Any:
    """A shape with the proportions of the small Qwen3, small enough to run."""
    return formulas.Shape("small", hidden=64, layers=3, heads=4, kv_heads=2, mlp=192, head=32, vocabulary=500)


def test_the_page_has_the_tables_that_the_formulas_give(sizing: ModuleType) -> None:
    page = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    assert sizing.with_tables(page, sizing.read_measured()) == page, "run: python benchmarks/sizing.py --write"


def test_a_figure_that_changed_is_seen(sizing: ModuleType) -> None:
    page = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    slower = dataclasses.replace(sizing.read_measured(), training=1.0)
    assert sizing.with_tables(page, slower) != page


def test_each_measured_figure_is_on_the_page_and_marked(sizing: ModuleType) -> None:
    measured = json.loads((ROOT / "docs" / "sizing.json").read_text())
    row = sizing.tables(sizing.read_measured())["speed"].splitlines()[2]
    for name in ("prefill", "decode", "training"):
        assert f" {sizing._digits(measured[name])} m " in row


def test_the_memory_that_training_took_is_about_what_was_computed(sizing: ModuleType, formulas: ModuleType) -> None:
    computed = formulas.SHAPES[0].training_bytes(formulas.EXAMPLE_TOKENS)
    assert computed < sizing.read_measured().peak_bytes < computed + 1.2e9  # the program itself comes on top


def test_the_page_s_dataset_and_job_are_the_default_ones(formulas: ModuleType) -> None:
    job = Job(base="pocket", dataset=Path("d"), out=Path("o"))
    assert (job.epochs, job.batch_tokens, job.lora.rank) == (formulas.EPOCHS, formulas.BATCH_TOKENS, formulas.RANK)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_parameters_are_those_of_the_real_model(number: int, formulas: ModuleType) -> None:
    shape = formulas.SHAPES[number]
    with torch.device("meta"):
        model = model_of(shape)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert f"{shape.parameters / 1e9:.1f}".startswith(shape.name.split()[0])


def test_the_adapter_s_parameters_are_those_of_the_default_job(small: Any) -> None:
    with attached_lora(model_of(small), Lora(), seed=0) as peft_model:
        assert small.lora == sum(weight.numel() for weight in peft_model.parameters() if weight.requires_grad)


def test_bytes_of_keys_and_values_are_those_of_the_real_cache(small: Any) -> None:
    model = model_of(small)
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(torch.zeros(1, 7, dtype=torch.long), past_key_values=cache)
    held = sum(tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values))
    assert held == 7 * small.kv_bytes(4)


def test_arithmetic_of_a_forward_pass_is_what_torch_counts(small: Any) -> None:
    model = model_of(small, "eager")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 64, dtype=torch.long), use_cache=False)
    # Counted as if every token attended to all.
    assert counter.get_total_flops() == pytest.approx(64 * small.forward_flop(64), rel=0.02)


def test_arithmetic_of_training_is_what_torch_counts(formulas: ModuleType, small: Any) -> None:
    length = formulas.EXAMPLE_TOKENS
    ids, mask = torch.zeros(1, length, dtype=torch.long), torch.zeros(1, length, dtype=torch.bool)
    mask[:, -length // 3 :] = True
    model = model_of(small, "eager")
    with attached_lora(model, Lora(), seed=0) as peft_model, FlopCounterMode(display=False) as counter:
        token_losses(peft_model.get_base_model(), ids, mask).mean().backward()
    # Counted as if every token attended to all, the formula takes half.
    halved = 6 * small.layers * small.heads * small.head * length
    assert counter.get_total_flops() / length == pytest.approx(small.training_flop() + halved, rel=0.1)


def test_what_autograd_keeps_of_a_token_is_what_was_counted(small: Any) -> None:
    def kept(layers: int) -> int:
        seen: dict[int, Any] = {}
        with attached_lora(model_of(dataclasses.replace(small, layers=layers)), Lora(), seed=0) as peft_model:
            weights = {weight.untyped_storage().data_ptr() for weight in peft_model.parameters()}

            def pack(tensor: Any) -> Any:
                seen[tensor.untyped_storage().data_ptr()] = tensor
                return tensor

            ids, mask = torch.zeros(1, 96, dtype=torch.long), torch.zeros(1, 96, dtype=torch.bool)
            mask[:, -10:] = True
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                token_losses(peft_model.get_base_model(), ids, mask)
        return sum(tensor.untyped_storage().nbytes() for place, tensor in seen.items() if place not in weights)

    values = 4 * small.hidden + 3 * small.head * (small.heads + small.kv_heads) + 4 * small.mlp
    per_token = (kept(3) - kept(2)) / 96 / 4
    assert per_token == pytest.approx(values + 7 * 16, rel=0.1)  # and seven layers' narrow sides of rank 16
