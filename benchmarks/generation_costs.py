"""What generating costs: the machine's matrix-multiply limit, where the engine's time goes, and the memory it takes."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from generation_variants import asking, in_parallel
from generation_workloads import CONCURRENT, Run, Wanted
from torch.profiler import ProfilerActivity, profile

from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.chat_models.engine.batch import Batch
from langgraph_ratchet.chat_models.engine.decoder import Decoder
from langgraph_ratchet.chat_models.engine.row import Row

_KINDS = {
    "matmul": ("aten::mm", "aten::addmm", "aten::addmm_", "aten::linear"),
    "attention": ("aten::bmm", "aten::baddbmm", "aten::_softmax", "aten::softmax"),
    "copies": (
        "aten::copy_", "aten::_to_copy", "aten::clone", "aten::index", "aten::index_put_", "aten::_index_put_impl_",
        "aten::cat", "aten::fill_", "aten::zero_", "aten::reshape", "aten::contiguous", "aten::_local_scalar_dense",
    ),
}  # fmt: skip
_PAGE = os.sysconf("SC_PAGE_SIZE")


def matmul_limit(base: Base, rows: int = 64, seconds: float = 0.3) -> float:
    """GFLOP/s of the products of one decoding step, nothing else: the weights of all layers with 64 rows."""
    weights = [weight for name, weight in base.model.named_parameters() if weight.dim() == 2 and "embed" not in name]
    dtype, work, runs = base.model.dtype, 2e-9 * rows * sum(weight.numel() for weight in weights), 0
    inputs = {weight.shape[1]: torch.randn(rows, weight.shape[1]).to(dtype) for weight in weights}
    with torch.inference_mode():
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            for weight in weights:
                torch.nn.functional.linear(inputs[weight.shape[1]], weight)
            runs += 1
    return work * runs / spent


def count_work(base: Base, runs: Sequence[Run]) -> float:
    """GFLOP of the matrix products with weights that the engine takes for `runs`; beginnings read once count once."""
    counted = {"tokens": 0, "rows": 0}
    call = Decoder.__call__

    def counting(self: Decoder, ids: torch.Tensor, positions: torch.Tensor, last: torch.Tensor, *rest: Any) -> Any:
        counted["tokens"] += len(ids)
        counted["rows"] += len(last)
        return call(self, ids, positions, last, *rest)

    Decoder.__call__ = counting  # type: ignore[method-assign]
    try:
        drive(base, runs)
    finally:
        Decoder.__call__ = call  # type: ignore[method-assign]
    layers = sum(weight.numel() for weight in base.model.model.layers.parameters() if weight.dim() == 2)
    return 2e-9 * (counted["tokens"] * layers + counted["rows"] * base.model.lm_head.weight.numel())


def drive(base: Base, runs: Sequence[Run]) -> None:
    """The engine's work in this thread: 64 runs at a time, each of which makes its next call when one is answered."""
    batch, left = Batch(replace(base)), [iter(run) for run in runs]
    owners: dict[Row, Iterator[Wanted]] = {}

    def following(run: Iterator[Wanted] | None) -> Iterator[Row]:
        call = next(run, None) if run is not None else None
        while call is None and left:
            run = left.pop(0)
            call = next(run, None)
        if call is not None and run is not None:
            row = Row.of(Request(call.prompt, call.tokens), base.context)
            owners[row] = run
            yield row

    joining = [row for _ in range(CONCURRENT) for row in following(None)]
    with torch.inference_mode():
        while joining or batch.rows:
            finished = batch.advance(base.model, joining)
            joining = [row for done in finished for row in following(owners.pop(done))]


def print_profile(name: str, base: Base, runs: Sequence[Run]) -> None:
    """Where the engine's time goes. What no operation takes is Python; measuring adds to that and to small ones."""
    drive(base, runs[:8])
    started = time.perf_counter()
    drive(base, runs)
    plain = time.perf_counter() - started
    with profile(activities=[ProfilerActivity.CPU]) as measured:
        started = time.perf_counter()
        drive(base, runs)
        total = time.perf_counter() - started
    spent: dict[str, float] = defaultdict(float)
    for event in measured.key_averages():
        kind = next((kind for kind, names in _KINDS.items() if event.key in names), "other operations")
        spent[kind] += event.self_cpu_time_total * 1e-6
    spent["Python"] = total - sum(spent.values())
    print(f"{name}: {plain:.2f} s; under the profiler {total:.2f} s, of which")
    for kind, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {kind:18} {seconds / total:6.1%}")


@contextmanager
def _engine(base: Base) -> Iterator[Engine]:
    running = Engine(replace(base))
    try:
        yield running
    finally:
        running.close()


def print_memory(base: Base, runs: Sequence[Run], count: int) -> None:
    """Memory of this process while the engine answers `count` calls, none of which was made before."""
    done, step = 0, max(1, count // 20)
    with _engine(base) as running:
        turn = 0
        while done < count:
            part: list[Run] = []
            size = 0
            while size < min(step, count - done):
                run = runs[turn % len(runs)]
                # Another beginning of the part that differs, so that what was kept is of no use and has to go.
                mark = tuple(map(int, f"{turn:06}"))
                part.append(tuple(Wanted(call.prompt[:20] + mark + call.prompt[20:], call.tokens) for call in run))
                size += len(run)
                turn += 1
            in_parallel(part, CONCURRENT, asking(running))
            done += size
            print(f"{done:7} calls  {_resident() >> 20:6} MiB", flush=True)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
