"""An improvement run that takes seconds a round, as a process that a test can start, kill and start again.

    python tests/improvement/tiny_run.py FOLDER [--rounds 3] [--seed 0] [--promotion auto] [--deterministic]
                                                [--answer JSON] [--samples 4] [--level 3] [--count 4]

The same command begins the run and goes on with it after it was killed: there is one run, `tiny`, in FOLDER. It uses
the pocket model on chain sums, a gate so lenient that a candidate with a few more right answers is promoted, and
writes everything under FOLDER:

    FOLDER/traces.db            the trace store
    FOLDER/models               the registry
    FOLDER/checkpoints.db       thread `tiny`
    FOLDER/improve/tiny/round-N practice.json dataset.json training/ baseline.json candidate.json decision.json
                                round.json

On stdout it prints one JSON object when it ends: `waiting` (the question, or null), `history` (a line per round, with
the dataset's hash, the decision and the candidate), `traces`, `versions` and `promotions` (counts), and `summary()` of
two runs with the same options and `--deterministic` must be equal. Exit status 0; a `RatchetError` is one line on
stderr and status 1. From Python, `tiny_services(folder)` and `tiny_settings(folder, ...)` give the parts.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

import langgraph_ratchet  # noqa: F401  # first of all: it turns strict checkpoints on
from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.evaluation.gate import GateSettings
from langgraph_ratchet.improvement.rounds import run_rounds
from langgraph_ratchet.improvement.services import Services, make_services
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

RUN = "tiny"
_SUITE = """
schema_version = 1
name = "{name}"
split = "{split}"
seed = 7

[[sources]]
family = "chain_sum"
levels = [{level}]
count = {count}
"""
LENIENT = GateSettings(alpha=0.49, minimum_effect=0.001, margin=0.99, confidence=0.51, power=0.5)
"""Promotes what is better by a few problems: a real gate could not with so few."""


def tiny_services(folder: Path) -> Services:
    """The parts of the run, all under `folder`."""
    return make_services(
        "pocket",
        store=TraceStore(f"sqlite:///{folder / 'traces.db'}"),
        registry=Registry(folder / "models"),
        folder=folder,
        gate=LENIENT,
    )


def tiny_settings(folder: Path, *, level: int = 3, count: int = 4, **settings: Any) -> dict[str, Any]:
    """`ImprovementInput` of the run; writes its suites into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in (("held_out", "held_out"), ("practice", "train")):
        text = _SUITE.format(name=name, split=split, level=level, count=count)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return {
        "run_id": RUN,
        "suite": str(folder / "held_out.toml"),
        "practice": str(folder / "practice.toml"),
        "sampled_problems": 0,
        **settings,
    }


def tiny_run(folder: Path, settings: dict[str, Any], *, answer: Any = None) -> dict[str, Any]:
    """Begins the run, or goes on with it; gives what it came to."""
    services = tiny_services(folder)
    try:
        return _outcome(services, run_rounds(services, settings, resume=_begun(folder), answer=answer))
    finally:
        services.store.close()


def _begun(folder: Path) -> bool:
    from langgraph.checkpoint.sqlite import SqliteSaver

    if not (folder / "checkpoints.db").exists():
        return False
    with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        return saver.get_tuple({"configurable": {"thread_id": RUN}}) is not None


def _outcome(services: Services, standing: Any) -> dict[str, Any]:
    return {
        "waiting": standing.question,
        "history": standing.state.get("history", []),
        "traces": len(services.store.traces(limit=None)),
        "versions": sorted(version.id for version in services.registry.versions()),
        "promotions": [[entry.version, entry.previous] for entry in services.registry.history()],
    }


def summary(outcome: dict[str, Any]) -> dict[str, Any]:
    """What must be equal in two deterministic runs: all but the times."""
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in outcome["history"]]
    return {**outcome, "history": lines}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--promotion", default="auto")
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--answer", type=orjson.loads)
    given = vars(parser.parse_args())
    folder, answer = given.pop("folder").resolve(), given.pop("answer")
    try:
        outcome = tiny_run(folder, tiny_settings(folder, **given), answer=answer)
    except RatchetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(orjson.dumps(outcome, option=orjson.OPT_INDENT_2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
