"""Import time of the package beside LangGraph's own, and of the command: fresh processes, medians.

    python benchmarks/imports.py [--runs 15] [--json]

Targets: `import langgraph_ratchet` takes at most 1.3 times `import langgraph.graph`; `ratchet --help` under 0.7 s.
Exit status 1 when one is missed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RATIO_TARGET = 1.3
HELP_TARGET_S = 0.7
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "langgraph.graph": [sys.executable, "-c", "import langgraph.graph"],
    "langgraph_ratchet": [sys.executable, "-c", "import langgraph_ratchet"],
    "create_reasoner": [sys.executable, "-c", "from langgraph_ratchet import create_reasoner"],
    "ratchet --help": [str(Path(sys.executable).parent / "ratchet"), "--help"],
}


def seconds_of(command: list[str]) -> float:
    """Wall time of one fresh process, start of the interpreter included."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, float]:
    """Median seconds of each command. They take turns, so that a busy moment falls on all of them alike."""
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for run in range(runs + 1):
        for name, command in COMMANDS.items():
            seconds = seconds_of(command)
            if run:  # the first round warms the file cache
                samples[name].append(seconds)
    return {name: statistics.median(values) for name, values in samples.items()}


def main() -> int:
    """Measures, prints, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    medians = measure(arguments.runs)
    ratio = medians["langgraph_ratchet"] / medians["langgraph.graph"]
    reasoner_ratio = medians["create_reasoner"] / medians["langgraph.graph"]
    reached = ratio <= RATIO_TARGET and medians["ratchet --help"] < HELP_TARGET_S
    if arguments.json:
        print(json.dumps({"runs": arguments.runs, "seconds": medians, "import_ratio": ratio, "reached": reached}))
        return 0 if reached else 1
    for name, seconds in medians.items():
        print(f"{name:<20} {seconds:6.3f} s")
    print(f"import langgraph_ratchet / import langgraph.graph: {ratio:.2f} (target: at most {RATIO_TARGET})")
    print(f"create_reasoner imported / import langgraph.graph: {reasoner_ratio:.2f}")
    print(f"ratchet --help: {medians['ratchet --help']:.2f} s (target: under {HELP_TARGET_S})")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
