"""Tokens per second of the engine against Hugging Face `generate` and `transformers serve`, on the pocket model.

    python benchmarks/generation.py [--runs 192] [--rounds 3] [--threads 2] [--no-serve] [--profile] [--memory 20000]

The workload is first recorded: the calls of graph runs on procedural problems, 64 runs at a time. Each variant then
generates for these prompts, and for random ones of the same lengths, which share no beginnings. Machines are noisy, so
the variants take turns within one run, and what counts is the ratio of their medians; reading prompts is part of the
time, and every variant writes the same number of tokens for each call. `--runs 64 --rounds 1` takes about a minute.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from generation_costs import count_work, matmul_limit, print_memory, print_profile
from generation_variants import STATIC, endless, engine, one_at_a_time, serving, static
from generation_workloads import Run, Wanted, random_runs, record_runs, sample, tokens_of

from langgraph_ratchet.chat_models.base import Base

Variant = tuple[Callable[[Base, Sequence[Run]], None], Base, Sequence[Run]]

TARGETS = {
    "engine_fp32": {"one_at_a_time": 8.0, "static_64": 2.5, "transformers_serve": 4.0},
    "engine_bf16": {"one_at_a_time": 12.0, "static_64": 4.0, "transformers_serve": 6.0},
}
"""How many times as fast as each baseline, all of which run in fp32."""


_BATCHES, _CALLS = 4, 60
"""Static batches, and calls one at a time, that stand for all: both would take minutes."""


def main() -> None:
    """Prints one line per variant, what the targets say, and, last, everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=192, help="graph runs that are recorded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="", help="variants to run, with commas between them")
    parser.add_argument("--no-serve", action="store_true", help="without `transformers serve`")
    parser.add_argument("--no-random", action="store_true", help="without the prompts that share nothing")
    parser.add_argument("--profile", action="store_true", help="only print where the engine's time goes")
    parser.add_argument("--memory", type=int, default=0, help="only make so many calls and print the memory they take")
    parser.add_argument("--workload", type=Path, help="file with the recorded calls: read if it is there, else written")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    runs = recorded(arguments.runs, arguments.workload)
    calls = sum(map(len, runs))
    written, read = tokens_of(runs) / calls, sum(len(call.prompt) for run in runs for call in run) / calls
    print(f"{len(runs)} runs, {calls} calls of {read:.1f} prompt and {written:.1f} completion tokens", flush=True)
    bases = {name: endless(dtype) for name, dtype in (("fp32", "float32"), ("bf16", "bfloat16"))}
    if arguments.memory:
        print_memory(bases["fp32"], runs, arguments.memory)
        return
    if arguments.profile:
        for name, base in bases.items():
            print_profile(name, base, runs)
        return
    result: dict[str, object] = {"threads": arguments.threads, "runs": len(runs), "calls": calls}
    kinds = {"graph": runs}
    if not arguments.no_random:
        kinds["random"] = random_runs(bases["fp32"], runs)
    for kind, wanted in kinds.items():
        result[kind] = compare(kind, bases, wanted, arguments)
    print(json.dumps(result))


def recorded(count: int, file: Path | None) -> list[Run]:
    """The calls of `count` runs, from `file` if it is there."""
    if file is not None and file.is_file():
        stored = json.loads(file.read_text())
        return [tuple(Wanted(tuple(prompt), tokens) for prompt, tokens in run) for run in stored[:count]]
    started = time.perf_counter()
    runs = record_runs(count)
    print(f"recorded in {time.perf_counter() - started:.0f} s", flush=True)
    if file is not None:
        file.write_text(json.dumps([[[call.prompt, call.tokens] for call in run] for run in runs]))
    return runs


def compare(
    kind: str, bases: dict[str, Base], runs: Sequence[Run], arguments: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Completion tokens per second of each variant; by the clock, and of this process by processor time as well.

    Processor time hardly notices what else the machine does; the clock is what a user waits.
    """
    exact = bases["fp32"]
    with ExitStack() as stack:
        variants: dict[str, Variant] = {
            "engine_fp32": (engine, exact, runs),
            "static_64": (static, exact, sample(runs, STATIC, _BATCHES)),
            "engine_bf16": (engine, bases["bf16"], runs),
            "one_at_a_time": (one_at_a_time, exact, sample(runs, 1, _CALLS)),
        }
        only = {name for name in arguments.only.split(",") if name} or {*variants, "transformers_serve"}
        if "transformers_serve" in only and not arguments.no_serve and kind == "graph":
            serve = stack.enter_context(serving(exact, arguments.threads))
            variants["transformers_serve"] = (serve, exact, runs)
        variants = {name: variant for name, variant in variants.items() if name in only}
        for run, base, share in variants.values():
            run(base, share[: max(1, len(share) // 16)])
        limits: dict[str, list[float]] = {name: [] for name in bases}
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
        for _ in range(arguments.rounds):
            for name, base in bases.items():
                limits[name].append(matmul_limit(base))
            for name, (run, base, share) in variants.items():
                wall, cpu = time.perf_counter(), time.process_time()
                run(base, share)
                spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    speeds: dict[str, dict[str, float]] = {}
    for name, times in spent.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        speeds[name] = {"tokens_per_s": tokens_of(variants[name][2]) / wall, "seconds": wall, "cpu_seconds": cpu}
        if name.startswith("engine"):
            limit = statistics.median(limits[name.removeprefix("engine_")])
            work = count_work(variants[name][1], runs)
            speeds[name] |= {"limit_gflops": limit, "gflops": work / wall, "share_of_limit": work / wall / limit}
    _print(kind, speeds)
    return speeds


def _print(kind: str, speeds: dict[str, dict[str, float]]) -> None:
    for name, speed in speeds.items():
        line = f"{kind:6} {name:18} {speed['tokens_per_s']:7.0f} tokens/s"
        if "share_of_limit" in speed:
            line += f"  {speed['gflops']:5.0f} of {speed['limit_gflops']:5.0f} GFLOP/s: {speed['share_of_limit']:.0%}"
        print(line)
        for other, wanted in TARGETS.get(name, {}).items():
            if other in speeds:
                ratio = speed["tokens_per_s"] / speeds[other]["tokens_per_s"]
                speed[f"times_{other}"] = ratio
                goal = f"(wanted {wanted})" if kind == "graph" else ""
                print(f"{'':26} {ratio:6.2f} x {other} {goal}")


if __name__ == "__main__":
    main()
