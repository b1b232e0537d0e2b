"""Gathers what the report of a round shows: from the state, the round's files, the store and the registry."""

import shlex
import time
from functools import cache
from pathlib import Path
from typing import Any

import langgraph_ratchet
from langgraph_ratchet import __version__
from langgraph_ratchet.core.decision import Decision, Verdict
from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.core.ids import content_hash, file_hash
from langgraph_ratchet.core.model_version import ModelVersion, TrainingStatistics
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.evaluation.control import ControlComparison
from langgraph_ratchet.evaluation.report import (
    Conclusion,
    ControlArm,
    Flips,
    Page,
    Provenance,
    find_flips,
    flips_of,
    render,
)
from langgraph_ratchet.improvement.measuring import held_out_sets
from langgraph_ratchet.improvement.services import Services, write_bytes
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.improvement.summary import never_practised, sampled_figures
from langgraph_ratchet.problems.suites import load_suite
from langgraph_ratchet.registry import Registry

PAGE = "report.html"


def write_page(state: ImprovementState, services: Services) -> str | None:
    """Writes the report into the round's folder; `None` before anything was measured.

    Raises:
        DiskError: it could not be written.
    """
    if not state.get("baseline"):
        return None
    return write_bytes(services.round_folder(state) / PAGE, render(round_page(state, services)).encode())


def round_page(state: ImprovementState, services: Services) -> Page:
    """Everything that the report of the round shows, as far as the round has come."""
    before = _report(str(state["baseline"]))
    after = _report(str(state["report"])) if state.get("report") else None
    candidate = _version(services.registry, state.get("candidate"))
    return Page(
        run=state["run_id"],
        round=state["round"],
        made_at=time.time(),
        conclusion=conclusion(state),
        before=before,
        after=after,
        decision=Decision.model_validate(state["decision"]) if state.get("decision") else None,
        stopped=state.get("stopped"),
        flips=_flips(state, services, before, after) if after else Flips(),
        never_practised=tuple(never_practised(state, before)),
        rollouts=state.get("rollouts"),
        learned=state.get("curated"),
        training=TrainingStatistics.model_validate(state["training"]) if state.get("training") else None,
        sampled=sampled_figures(state, after),
        control=_control(state.get("control_arm")),
        provenance=Provenance(
            versions=_versions(state, services, before, candidate),
            settings=_settings(state, services),
            lineage=_lineage(services, candidate) if candidate else (),
            command=state.get("command") or command(state, services.base_name),
        ),
    )


def conclusion(state: ImprovementState) -> Conclusion:
    """What became of the candidate so far."""
    verdict = (state.get("decision") or {}).get("verdict")
    if verdict == Verdict.REJECT:
        return Conclusion.REJECTED
    if verdict == Verdict.NOT_ENOUGH_EVIDENCE:
        return Conclusion.NOT_ENOUGH_EVIDENCE
    if verdict is None:
        return Conclusion.NOTHING_LEARNED if state.get("stopped") else Conclusion.UNDER_WAY
    if state.get("promoted"):
        return Conclusion.PROMOTED
    return Conclusion.NOT_PROMOTED if state.get("approval") or state.get("stopped") else Conclusion.WAITING


def command(state: ImprovementState, base: str) -> str:
    """The command line of `ratchet improve` with these settings."""
    words = ["ratchet", "improve", "--model", base]
    for option, name in (
        ("suite", "suite"),
        ("practice", "practice"),
        ("rounds", "rounds"),
        ("samples", "samples"),
        ("temperature", "temperature"),
        ("seed", "seed"),
        ("sampled", "sampled_problems"),
    ):
        if name in state:
            words += [f"--{option}", str(state[name])]  # type: ignore[literal-required]  # names of the table above
    words += [f"--{name}" for name in ("deterministic", "control") if state.get(name)]
    return shlex.join(words)


@cache
def code_hash() -> str:
    """Hash of the package's source files: the version stays the same while the code is worked on."""
    root = Path(langgraph_ratchet.__file__).parent
    return content_hash([[path.relative_to(root).as_posix(), file_hash(path)] for path in sorted(root.rglob("*.py"))])


def _report(path: str) -> Report:
    return Report.model_validate_json(Path(path).read_bytes())


def _flips(state: ImprovementState, services: Services, before: Report, after: Report) -> Flips:
    found = find_flips(before, after)
    sets = held_out_sets(state) if found.trace_ids else []
    problems = {problem.id: problem for _, each in sets for problem in each}
    traces = services.store.find_traces(found.trace_ids)
    return flips_of(found, problems, {trace.id: trace for trace in traces})


def _control(arm: dict[str, Any] | None) -> ControlArm | None:
    if not arm:
        return None
    return ControlArm(
        comparison=ControlComparison.model_validate(arm["comparison"]),
        report=_report(arm["report"]),
        traces=arm["curated"]["traces"],
        right=arm["right"],
        calls=arm["curated"]["calls"],
        training=TrainingStatistics.model_validate(arm["training"]),
    )


def _versions(
    state: ImprovementState, services: Services, before: Report, candidate: ModelVersion | None
) -> tuple[tuple[str, str], ...]:
    found = [("base", services.base_name)]
    if candidate:
        trained_on = candidate.fingerprint
        found += [
            ("base weights", trained_on.base),
            ("tokenizer", trained_on.tokenizer),
            ("chat template", trained_on.template),
            ("dataset", candidate.dataset_hash),
            ("candidate", candidate.id),
            ("adapter weights", trained_on.adapter or "–"),
        ]
    found += [
        ("champion before", state.get("champion") or "none: the bare base"),
        ("suite", f"{state['suite']} {before.suite_hash}"),
        ("code", f"langgraph-ratchet {__version__} {code_hash()}"),
    ]
    return tuple(found)


def _settings(state: ImprovementState, services: Services) -> tuple[tuple[str, str], ...]:
    suite, practice = load_suite(state["suite"]), load_suite(state["practice"])
    return (
        ("seed", f"{state['seed']} (practice problems, rollouts, training)"),
        ("suite’s seed", str(suite.seed)),
        ("practice", f"{state['practice']}, seed {practice.seed}, {state['samples']} runs of each problem"),
        ("temperature", f"{state['temperature']:g} in practice, 0 when measured"),
        ("tools", ", ".join(tool.name for tool in services.tools) or "none"),
        ("promotion", state["promotion"]),
    )


def _lineage(services: Services, candidate: ModelVersion) -> tuple[tuple[str, str], ...]:
    """From the base to the candidate: who practised for whom."""
    promoted = {entry.version for entry in services.registry.history()}
    chain: list[tuple[str, str]] = []
    version: ModelVersion | None = candidate
    while version and len(chain) < 100:
        what = "the candidate of this round" if version.id == candidate.id else "practised for the next one"
        chain.append((version.id, what + (", was promoted" if version.id in promoted else "")))
        version = _version(services.registry, version.parent)
    chain.append((services.base_name, "the bare base, from which every version is trained"))
    return tuple(reversed(chain))


def _version(registry: Registry, id_: str | None) -> ModelVersion | None:
    """A version that may have been removed since."""
    try:
        return registry.get(id_) if id_ else None
    except RatchetError:
        return None
