"""Our own forward pass: what transformers computes, for every shape of model that it takes, and for no other."""

import random

import pytest
import torch

from langgraph_ratchet.chat_models.adapters import Adapters, resolve_adapter
from langgraph_ratchet.chat_models.base import Base, load_base
from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.chat_models.engine.batch import Batch
from langgraph_ratchet.chat_models.engine.blocks import Blocks
from langgraph_ratchet.chat_models.engine.decoder import decoder_of
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.registry import Registry

SIZE = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "initializer_range": 0.2}
SIZE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
SHAPES = {
    "llama": ("LlamaConfig", {}),
    "llama_every_head": ("LlamaConfig", {"num_key_value_heads": 4, "tie_word_embeddings": True}),
    "llama_biases": ("LlamaConfig", {"attention_bias": True, "mlp_bias": True, "head_dim": 12}),
    "llama_3_rope": ("LlamaConfig", {"rope_parameters": LLAMA3}),
    "llama_linear_rope": (
        "LlamaConfig",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    ),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True}),
    "qwen2_some_layers_slide": (
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3Config", {"head_dim": 8}),
    "qwen3_yarn": ("Qwen3Config", {"head_dim": 16, "rope_parameters": YARN}),
    "mistral": ("MistralConfig", {"sliding_window": None, "head_dim": 8}),
    "mistral_slides": ("MistralConfig", {"sliding_window": 16, "head_dim": 8}),
}
OTHERS = {
    "dynamic_rope": (
        "LlamaConfig",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
    ),
    "other_activation": ("LlamaConfig", {"hidden_act": "gelu"}),
    "other_architecture": ("Gemma3TextConfig", {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16}),
}


def make_model(shape: str):
    import transformers
    from transformers import AutoModelForCausalLM

    kind, settings = (SHAPES | OTHERS)[shape]
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(getattr(transformers, kind)(**(SIZE | settings)))
    for name, weight in model.named_parameters():
        if "bias" in name or "norm" in name:
            weight.data += 0.3 * torch.randn_like(weight)  # new ones are all 0 or all 1, which would hide a mistake
    return model.eval().requires_grad_(False)


def base_of(model) -> Base:
    from pathlib import Path

    return Base(
        "made", Path(), model, tokenizer=NoTokenizer(), fingerprint=Fingerprint(base="", tokenizer="", template="")
    )


class NoTokenizer:
    """A base asks its tokenizer for one thing only."""

    eos_token_id = None


def prompts(count: int, *, seed: int, longest: int = 90) -> list[tuple[int, ...]]:
    draw = random.Random(seed)
    shared = tuple(draw.randrange(5, 260) for _ in range(30))
    rests = [tuple(draw.randrange(5, 260) for _ in range(draw.randint(1, longest))) for _ in range(count)]
    return [shared + rest if at % 2 else rest for at, rest in enumerate(rests)]


def plain_logprobs(model, prompt_ids, completion_ids) -> list[float]:
    """What an outsider computes: one forward pass over the ids, without this package."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt_ids, *completion_ids]])).logits[0, len(prompt_ids) - 1 : -1]
    return logits.float().log_softmax(-1).gather(1, torch.tensor(completion_ids)[:, None])[:, 0].tolist()


def run(batch: Batch, model, rows: list[Row], *, at_once: int = 4) -> None:
    """Runs rows that join a few at a time."""
    waiting = list(rows)
    with torch.inference_mode():
        while waiting or batch.rows:
            joining, waiting = waiting[:at_once], waiting[at_once:]
            batch.advance(model, joining)


@pytest.mark.parametrize("shape", SHAPES)
def test_logprobs_are_those_of_transformers(shape):
    """In batches that rows join and leave, over shared beginnings, across the widths of blocks, and past windows."""
    model = make_model(shape)
    draw = random.Random(3)
    wanted = [*prompts(10, seed=1), *prompts(2, seed=2, longest=300)]
    rows = [Row.of(Request(prompt, draw.randint(1, 60), 1.0, seed=1), 1024) for prompt in wanted]
    batch = Batch(base_of(model))
    run(batch, model, rows)
    assert isinstance(batch._kv, Blocks)
    for row in rows:
        assert row.logprobs == pytest.approx(plain_logprobs(model, row.prompt_ids, row.ids), abs=1e-4)


@pytest.mark.parametrize("shape", OTHERS)
def test_other_models_run_by_their_own_forward_pass(shape):
    model = make_model(shape)
    assert decoder_of(model) is None
    row = Row.of(Request(prompts(1, seed=4)[0], 10, 1.0, seed=1), 1024)
    run(Batch(base_of(model)), model, [row])
    assert row.logprobs == pytest.approx(plain_logprobs(model, row.prompt_ids, row.ids), abs=1e-4)


def test_a_long_prompt_is_read_in_parts(monkeypatch):
    from langgraph_ratchet.chat_models.engine import attention

    monkeypatch.setattr(attention, "_SCORES", 500 * 64)
    model = make_model("mistral_slides")
    draw = random.Random(5)
    row = Row.of(Request(tuple(draw.randrange(5, 260) for _ in range(700)), 12, 1.0, seed=1), 1024)
    run(Batch(base_of(model)), model, [row])
    assert row.logprobs == pytest.approx(plain_logprobs(model, row.prompt_ids, row.ids), abs=1e-4)


def test_large_models_keep_their_weights_to_themselves(monkeypatch):
    from langgraph_ratchet.chat_models.engine import decoder

    monkeypatch.setattr(decoder, "_FUSED_BYTES", 0)
    model = make_model("llama_biases")
    rows = [Row.of(Request(prompt, 10, 1.0, seed=1), 1024) for prompt in prompts(4, seed=6)]
    run(Batch(base_of(model)), model, rows)
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    taken = decoder.decoder_of(model)._layers[0]
    assert {weight.untyped_storage().data_ptr() for weight, _ in taken.qkv.parts + taken.gate_up.parts} <= own
    for row in rows:
        assert row.logprobs == pytest.approx(plain_logprobs(model, row.prompt_ids, row.ids), abs=1e-4)


def test_bf16_is_close_to_fp32():
    exact, half = load_base("pocket", device="cpu"), load_base("pocket", dtype="bfloat16", device="cpu")
    assert decoder_of(half.model) is not None
    turn = exact.tokenizer.encode("<|im_start|>user\nWhat is 3 + 4?<|im_end|>\n<|im_start|>assistant\n")
    row_prompts = [tuple(turn[at:]) for at in range(8)]
    rows = [Row.of(Request(prompt, 30, 1.0, seed=1), 2048) for prompt in row_prompts]
    run(Batch(half), half.model, rows)
    off, off_transformers = [], []
    for row in rows:
        sequence = row.prompt_ids, row.ids
        expected = plain_logprobs(exact.model, *sequence)
        off += [abs(one - other) for one, other in zip(row.logprobs, expected, strict=True)]
        theirs = plain_logprobs(half.model, *sequence)
        off_transformers += [abs(one - other) for one, other in zip(theirs, expected, strict=True)]
    assert sorted(off)[int(0.8 * len(off))] < 0.05
    assert sum(off) < 1.5 * sum(off_transformers)


def test_the_bare_base_stays_itself_when_adapters_are_attached_beside_it(model_folder, adapter_folders, unmerged):
    """A decoder holds the weights of plain layers; with adapters beside them the module has others."""
    from langgraph_ratchet.chat_models import base as base_module

    base = base_module._load("tiny", model_folder, "float32", "cpu")
    engine = Engine(base, Adapters(base, merged_bytes=0))
    adapter = resolve_adapter(str(adapter_folders[0]), Registry(model_folder))
    prompt = prompts(1, seed=7)[0]
    for at in range(3):  # before, during and after
        futures = [engine.submit(Request(prompt, 20, 1.0, at, which)) for which in (None, adapter)[: 1 + (at > 0)]]
        for future, model in zip(futures, unmerged, strict=False):
            completion = future.result(timeout=20)
            assert completion.logprobs == pytest.approx(plain_logprobs(model, prompt, completion.ids), abs=1e-4)
    engine.close()


def test_a_decoder_does_not_keep_its_model():
    import gc
    import weakref

    model = make_model("llama")
    held = weakref.ref(model)
    assert decoder_of(model) is decoder_of(model)
    del model
    gc.collect()
    assert held() is None
