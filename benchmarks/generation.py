"""Tokens per second of the engine against Hugging Face `generate`, on a random model of the pocket model's shape.

    python benchmarks/generation.py [--requests 256] [--rounds 3] [--threads 2]

Machines are noisy, so the variants take turns within one run, and what counts is the ratio of their medians. Every
variant reads the same prompts and writes the same number of tokens for each; prompt reading is part of the time.
Prompts come in two kinds: `random` share nothing, `graph` begin with one of five node prefixes, as a graph's do.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, StoppingCriteria, StoppingCriteriaList

from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.core.call import Fingerprint

VOCABULARY, HIDDEN, LAYERS, HEADS = 1024, 192, 4, 4
STATIC, CONCURRENT = 64, 64


@dataclass(frozen=True)
class Wanted:
    """One request: its prompt, and exactly how many tokens are wanted."""

    prompt: tuple[int, ...]
    tokens: int


class EndlessBase(Base):
    """A base without an end-of-turn token, so that every variant writes the same number of tokens."""

    @property
    def end_ids(self) -> frozenset[int]:
        """None: rows end at their length only."""
        return frozenset()


class PerRowLength(StoppingCriteria):
    """Stops each row of a static batch at its own length."""

    def __init__(self, lengths: Sequence[int], prompt: int) -> None:
        self.limits = torch.tensor(lengths) + prompt

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Which rows are long enough."""
        return self.limits <= input_ids.shape[1]


def main() -> None:
    """Prints one line per variant and, last, everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    base = make_base()
    result = {}
    for kind in ("random", "graph"):
        result[kind] = compare(base, make_requests(kind, arguments.requests), arguments.rounds)
        for name, speed in result[kind].items():
            print(
                f"{kind:7} {name:18} {speed['tokens_per_s']:7.0f} tokens/s {speed['ratio']:6.2f} x static"
                f"   {speed['tokens_per_cpu_s']:7.0f} tokens/CPU-s {speed['cpu_ratio']:6.2f} x static"
            )
    print(json.dumps({"threads": arguments.threads, "requests": arguments.requests, **result}))


def make_base() -> Base:
    """The pocket model's shape with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=HIDDEN * 8 // 3,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    unknown = Fingerprint(base="", tokenizer="", template="")
    return EndlessBase(name="random", path=Path(), model=model, tokenizer=None, fingerprint=unknown)


def make_requests(kind: str, count: int) -> list[Wanted]:
    """Requests of 60 to 140 prompt tokens (100 on average) and 3 to 60 completion tokens (about 15)."""
    draw = random.Random(1)
    nodes = [tuple(draw.randrange(1, VOCABULARY) for _ in range(50)) for _ in range(5)]
    wanted = []
    for _ in range(count):
        prompt = tuple(draw.randrange(1, VOCABULARY) for _ in range(draw.randint(60, 140)))
        if kind == "graph":
            prompt = (draw.choice(nodes) + prompt)[: len(prompt)]
        wanted.append(Wanted(prompt, min(60, 3 + int(draw.expovariate(1 / 12)))))
    return wanted


def compare(base: Base, wanted: Sequence[Wanted], rounds: int) -> dict[str, dict[str, float]]:
    """Completion tokens per second of each variant, by the clock and by processor time, and ratios to static batches.

    Processor time hardly notices what else the machine does; the clock is what a user waits.
    """
    few = wanted[: max(8, len(wanted) // 8)]
    variants: dict[str, tuple[Callable[[Base, Sequence[Wanted]], None], Sequence[Wanted]]] = {
        "static_64": (static, wanted),
        "one_at_a_time": (one_at_a_time, few),
        "engine": (engine, wanted),
        "engine_64_threads": (engine_threads, wanted),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for run, share in variants.values():
        run(base, share[: len(share) // 4])
    for _ in range(rounds):
        for name, (run, share) in variants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run(base, share)
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    speeds = {}
    for name, times in spent.items():
        tokens = sum(item.tokens for item in variants[name][1])
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        speeds[name] = {"tokens_per_s": tokens / wall, "tokens_per_cpu_s": tokens / cpu}
    for speed in speeds.values():
        speed["ratio"] = speed["tokens_per_s"] / speeds["static_64"]["tokens_per_s"]
        speed["cpu_ratio"] = speed["tokens_per_cpu_s"] / speeds["static_64"]["tokens_per_cpu_s"]
    return speeds


def static(base: Base, wanted: Sequence[Wanted], size: int = STATIC) -> None:
    """Left-padded batches of fixed size in arrival order; each runs until its longest row is done."""
    for start in range(0, len(wanted), size):
        part = wanted[start : start + size]
        width = max(len(item.prompt) for item in part)
        ids = torch.tensor([[0] * (width - len(item.prompt)) + list(item.prompt) for item in part])
        mask = torch.tensor([[0] * (width - len(item.prompt)) + [1] * len(item.prompt) for item in part])
        lengths = [item.tokens for item in part]
        with torch.inference_mode():
            base.model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=max(lengths),
                stopping_criteria=StoppingCriteriaList([PerRowLength(lengths, width)]),
            )


def one_at_a_time(base: Base, wanted: Sequence[Wanted]) -> None:
    """A `generate` call for every request."""
    static(base, wanted, 1)


def engine(base: Base, wanted: Sequence[Wanted]) -> None:
    """Everything is queued at once."""
    running = Engine(replace(base))
    for future in [running.submit(request(item)) for item in wanted]:
        future.result()
    running.close()


def engine_threads(base: Base, wanted: Sequence[Wanted]) -> None:
    """Threads that each wait for one reply and then ask for the next, as concurrent graph runs do."""
    running = Engine(replace(base))
    with ThreadPoolExecutor(CONCURRENT) as pool:
        list(pool.map(lambda item: running.submit(request(item)).result(), wanted))
    running.close()


def request(item: Wanted) -> Request:
    """The engine's form of a request."""
    return Request(item.prompt, item.tokens)


if __name__ == "__main__":
    main()
