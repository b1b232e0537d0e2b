"""Measures a random model of Qwen3-0.6B's shape on one core, for `benchmarks/sizing.py --measure`.

What counts is the processor's time of one thread, the best of several tries: other programs do not change it much.
Takes about 6 GB of memory and some minutes.
"""

import gc
import os
import platform
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache, Qwen3Config

from langgraph_ratchet.training.adapter import attached_lora
from langgraph_ratchet.training.job import Lora
from langgraph_ratchet.training.token_losses import token_losses

PROMPT, EXAMPLE, UNDER_LOSS = 256, 300, 100


def measure(tries: int) -> dict[str, Any]:
    """The fields of `sizing.Measured`."""
    torch.set_num_threads(1)
    model = make_model()
    prefill, decode = _generate(model, tries)
    training = _train(model, tries, has_bfloat16())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    training_float32 = _train(model, tries, False)
    _, decode_bfloat16 = _generate(model.to(torch.bfloat16), tries)
    return {
        "machine": f"{_processor()}, torch {torch.__version__}",
        "date": datetime.now(UTC).date().isoformat(),
        "prefill": prefill,
        "decode": decode,
        "decode_bfloat16": decode_bfloat16,
        "training": training,
        "training_float32": training_float32,
        "peak_bytes": peak,
    }


def make_model() -> Any:
    """Qwen3-0.6B's shape with random weights, in float32."""
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


def _generate(model: Any, tries: int) -> tuple[float, float]:
    """Prompt tokens and reply tokens per second of one stream."""
    ids = torch.randint(0, model.config.vocab_size, (1, PROMPT))
    cache: list[DynamicCache] = []

    def read() -> None:
        cache[:] = [DynamicCache(config=model.config)]
        model(ids, past_key_values=cache[0], logits_to_keep=1)

    def write() -> None:
        model(ids[:, :1], past_key_values=cache[0])

    with torch.no_grad():
        return PROMPT / _best(read, tries), 1 / _best(write, 6 * tries)


def has_bfloat16() -> bool:
    """Whether the trainer takes bfloat16 on this processor."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def _train(model: Any, tries: int, bfloat16: bool) -> float:
    """Tokens per second of LoRA training."""
    ids = torch.randint(0, model.config.vocab_size, (1, EXAMPLE))
    mask = torch.zeros(1, EXAMPLE, dtype=torch.bool)
    mask[:, -UNDER_LOSS:] = True
    with attached_lora(model, Lora(), seed=0) as peft_model:
        network = peft_model.get_base_model()
        optimizer = torch.optim.AdamW([weight for weight in network.parameters() if weight.requires_grad])

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = token_losses(network, ids, mask).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        seconds = _best(step, tries)
    gc.collect()
    return EXAMPLE / seconds


def _best(run: Callable[[], None], tries: int) -> float:
    """Processor seconds of the fastest of `tries` runs, after one that warms up."""
    run()
    seconds = []
    for _ in range(tries):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
        print(f"{seconds[-1]:.3f} s", end=" ", flush=True)
    print()
    return min(seconds)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.processor()}"
