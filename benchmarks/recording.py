"""What recording costs: the median time of each thing that a run tells its recorder, in a SQLite file.

    python benchmarks/recording.py [--runs 100] [--folder PATH]

A call is a realistic one: 1 KB of messages, 150 prompt ids, 40 completion ids with log-probabilities. `--folder`
chooses the disk; by default the store lies in a temporary folder. The exit status is 1 when the median call costs
more than its limit.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from langgraph_ratchet.core.call import Call, CallKey, Fingerprint, Sampling, Tokens, Usage
from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.traces.recorder import Recorder
from langgraph_ratchet.traces.store import TraceStore

LIMIT_MS = 2.0
CALLS_PER_RUN = 7


def main() -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="runs to record (default %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the store lies (default: a temporary folder)")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "traces.db")
        store = TraceStore(f"sqlite:///{path}")
        recorder = Recorder(store)
        record_run(recorder, "warm_up", {})
        seconds: dict[str, list[float]] = {"start": [], "call": [], "step": [], "calls": [], "finish": [], "run": []}
        for number in range(arguments.runs):
            record_run(recorder, f"run_{number}", seconds)
        assert recorder.lost == 0
        bytes_per_run = sum(file.stat().st_size for file in Path(folder).iterdir()) / (arguments.runs + 1)
        store.close()

    print(f"{arguments.runs} runs of {CALLS_PER_RUN} calls and {CALLS_PER_RUN} steps; {bytes_per_run / 1024:.0f} KiB per run")
    for name, taken in seconds.items():
        ms = sorted(1e3 * value for value in taken)
        print(f"{name:7} median {statistics.median(ms):6.3f} ms   99 % {ms[int(0.99 * (len(ms) - 1))]:7.3f} ms")
    per_call = 1e3 * statistics.median(seconds["run"]) / CALLS_PER_RUN
    passed = per_call <= LIMIT_MS
    print(f"all of it, per call: {per_call:.3f} ms; limit {LIMIT_MS} ms: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


def record_run(recorder: Recorder, run_id: str, seconds: dict[str, list[float]]) -> None:
    """Records one run and notes in `seconds` what each part of it took."""
    spent = 0.0

    def timed[T](name: str, work: Callable[[], T]) -> T:
        nonlocal spent
        began = time.perf_counter()
        result = work()
        taken = time.perf_counter() - began
        spent += taken
        seconds.setdefault(name, []).append(taken)
        return result

    question = Question(text="What date is 45 days after 2024-03-05?")
    timed("start", lambda: recorder.start(run_id, question, "pocket", time.time()))
