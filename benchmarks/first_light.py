"""The demo's targets over three seeds, one process each: `python benchmarks/first_light.py`.

Prints, for each seed, what `ratchet demo --json` gave: accuracy before and after, by type, the levels that were never
practised, the p-value, the draws beside it, seconds and memory. No seed is chosen: they are 0, 1 and 2.
"""

import subprocess
import sys
import time
from typing import Any

import orjson

SEEDS = (0, 1, 2)
_MAIN = "from langgraph_ratchet.cli import main; main()"


def run(seed: int) -> dict[str, Any]:
    """One demo in a fresh process, with its wall time from outside."""
    started = time.monotonic()
    command = [sys.executable, "-c", _MAIN, "demo", "--json", "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if not done.stdout:
        raise SystemExit(f"seed {seed}: the demo ended with status {done.returncode} and no result")
    return {**orjson.loads(done.stdout), "wall_seconds": time.monotonic() - started}


def lines(seed: int, figures: dict[str, Any]) -> list[str]:
    """What is reported of one seed."""

    def both(pair: dict[str, Any]) -> str:
        return " → ".join(f"{100 * pair[side]['value']:.1f}" for side in ("base", "candidate"))

    sampled, cost = figures["sampled"], figures["cost"]
    return [
        f"seed {seed}: {figures['decision']}, p = {figures['p_value']:.2g}, {figures['n_heldout']} held-out problems",
        f"  accuracy {both(figures['accuracy'])} %, strict {both(figures['strict'])} %",
        *(f"  {kind} {both(pair)} %" for kind, pair in figures["by_type"].items()),
        f"  never practised {both(figures['never_practised'])} %",
        f"  sampled on {sampled['problems']}: one draw {100 * sampled['base_single']['value']:.1f} %, "
        f"pass@{sampled['samples']} {100 * sampled['base_pass_at_k']['value']:.1f} %, "
        f"majority@{sampled['samples']} {100 * sampled['base_majority_at_k']['value']:.1f} %, "
        f"share of the gain above the majority {100 * sampled['share_above_majority']:.0f} %",
        *(
            f"  {name} per problem {cost['base'][name]:.2f} → {cost['candidate'][name]:.2f}"
            for name in ("calls", "tokens", "seconds")
        ),
        f"  {figures['wall_seconds']:.0f} s in all, at most {figures['peak_rss_mib']:.0f} MiB; "
        + ", ".join(f"{phase} {seconds:.0f}" for phase, seconds in figures["seconds_by_phase"].items()),
    ]


if __name__ == "__main__":
    for seed in SEEDS:
        print("\n".join(lines(seed, run(seed))), flush=True)
