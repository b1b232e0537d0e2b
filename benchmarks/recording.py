"""What recording costs: the time of each thing that a run tells its recorder, stored in SQLite.

    python benchmarks/recording.py [--runs 100] [--folder PATH] [--json]

A call is a realistic one: 1 KB of messages, 150 prompt ids, 40 completion ids with log-probabilities; a run makes
seven and takes seven steps. `--folder` chooses the disk; by default the store lies in a temporary folder.
Target: at most 2 ms a call at the median: that of a call, of its step, and a seventh of the run's start and finish.
Exit status 1 when it is missed.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from langgraph_ratchet.core.call import Call, CallKey, Fingerprint, Sampling, Tokens, Usage
from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.traces.recorder import Recorder
from langgraph_ratchet.traces.store import TraceStore

TARGET_MS = 2.0
CALLS_PER_RUN = 7
QUESTION = Question(text="What date is 45 days after 2024-03-05?")
FINGERPRINT = Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64)


def call_of(run_id: str, index: int) -> Call:
    """A call as the reasoning graph makes it."""
    return Call(
        id=new_id("call"),
        key=CallKey(run_id=run_id, task_id="task", index=index),
        node="act",
        messages=({"role": "system", "content": "s" * 400}, {"role": "user", "content": "u" * 600}),
        reply={"role": "assistant", "content": "The date is 2024-04-19."},
        sampling=Sampling(temperature=1.0, seed=7, max_tokens=256),
        usage=Usage(input_tokens=150, output_tokens=40),
        seconds=0.2,
        tokens=Tokens(
            prompt_ids=tuple(range(1000, 1150)),
            completion_ids=tuple(range(40)),
            logprobs=tuple(-index / 7 for index in range(40)),
            fingerprint=FINGERPRINT,
        ),
    )


def record_run(recorder: Recorder, run_id: str) -> dict[str, list[float]]:
    """Records one run; gives the seconds that each part of it took, what the graph does itself left out."""
    seconds: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, began: float) -> None:
        seconds[name].append(time.perf_counter() - began)

    began = time.perf_counter()
    recorder.start(run_id, QUESTION, "pocket", 0.0)
    timed("start", began)
    calls, steps = [], []
    for index in range(CALLS_PER_RUN):
        call = call_of(run_id, index)
        began = time.perf_counter()
        calls.append(recorder.call(call))
        timed("call", began)
        steps.append(Step(number=index + 1, description="Shift the date.", tool="clock", output="o", call_id=call.id))
        began = time.perf_counter()
        recorder.step(run_id, "task", index, steps[-1])
        timed("step", began)
    trace = Trace(
        id=run_id,
        question=QUESTION,
        model="pocket",
        model_version=None,
        strategy="direct",
        plan=("Shift the date with clock.",),
        steps=tuple(steps),
        calls=recorder.calls([call.id for call in calls], run_id=run_id),
        answer="2024-04-19",
        confidence=0.9,
        outcome=Outcome.ANSWERED,
        started_at=0.0,
        seconds=1.0,
        code_version="0",
    )
    began = time.perf_counter()
    recorder.finish(trace)
    timed("finish", began)
    seconds["run / calls"] = [sum(sum(taken) for taken in seconds.values()) / CALLS_PER_RUN]
    return seconds


def fsync_seconds(folder: Path) -> float:
    """Median time that this disk takes to say that 4 KB are on it."""
    taken = []
    with (folder / "probe").open("wb") as file:
        for _ in range(30):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def measure(runs: int, folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of each part of a run: median and 99th percentile."""
    store = TraceStore(f"sqlite:///{folder / 'traces.db'}")
    recorder = Recorder(store)
    samples: dict[str, list[float]] = defaultdict(list)
    for number in range(runs + 1):
        seconds = record_run(recorder, f"run_{number}")
        if number:  # the first makes the file
            for name, taken in seconds.items():
                samples[name] += taken
    store.close()
    if recorder.lost:
        raise SystemExit(f"{recorder.lost} runs were lost: nothing was measured")
    return {
        name: {
            "median_ms": 1e3 * statistics.median(taken),
            "p99_ms": 1e3 * sorted(taken)[int(0.99 * (len(taken) - 1))],
        }
        for name, taken in samples.items()
    }


def main() -> int:
    """Measures, prints, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        fsync_ms = 1e3 * fsync_seconds(Path(folder))
        parts = measure(arguments.runs, Path(folder))
        stored_bytes = (Path(folder) / "traces.db").stat().st_size
    medians = {name: taken["median_ms"] for name, taken in parts.items()}
    per_call_ms = medians["call"] + medians["step"] + (medians["start"] + medians["finish"]) / CALLS_PER_RUN
    reached = per_call_ms <= TARGET_MS
    bytes_per_run = stored_bytes // (arguments.runs + 1)
    if arguments.json:
        result = {"runs": arguments.runs, "per_call_ms": per_call_ms, "target_ms": TARGET_MS, "reached": reached}
        print(json.dumps({**result, "fsync_ms": fsync_ms, "bytes_per_run": bytes_per_run, "parts": parts}))
        return 0 if reached else 1
    for name, taken in parts.items():
        print(f"{name:<14} median {taken['median_ms']:6.3f} ms, 99 % under {taken['p99_ms']:7.3f} ms")
    print(f"this disk's fsync: {fsync_ms:.3f} ms; a run of {CALLS_PER_RUN} calls: {bytes_per_run:,} bytes")
    print(f"recording, per call: {per_call_ms:.3f} ms (target: at most {TARGET_MS} ms)")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
