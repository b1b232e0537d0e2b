"""Measures a reasoner on problems: rolls out, grades, and reports one row per problem."""

from collections.abc import Sequence
from dataclasses import dataclass

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.ids import content_id, derive_seed
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.progress import OnProgress, Progress, silent
from langgraph_ratchet.core.question import QuestionType
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.grading import grade_many
from langgraph_ratchet.reasoning.rollouts import Reasoner, Rollout, roll_out
from langgraph_ratchet.tools.replay import ToolReplay
from langgraph_ratchet.traces.store import TraceStore


@dataclass(frozen=True)
class Measurement:
    """What is measured, and how. Its fields decide the ids of the traces, so an interrupted one goes on."""

    label: str
    """Names the measurement among others of the same model on the same suite."""
    suite_hash: str
    model: str
    base_hash: str | None
    """Hash of the base's weights: a model that changed under its name is measured anew. `None`: not known."""
    model_version: str | None
    temperature: float = 0.0
    seed: int = 0
    samples: int = 1
    """Runs per problem, each with a seed of its own."""
    setup: str = ""
    """Hash of what else decides a run (tools, budgets, prompts): with another setup it is measured anew."""


@dataclass(frozen=True)
class Graded:
    """One run of one problem, with its grade."""

    problem: Problem
    trace: Trace
    grade: Grade


def measure(
    reasoner: Reasoner,
    store: TraceStore,
    problems: Sequence[Problem],
    measurement: Measurement,
    *,
    replay: ToolReplay | None = None,
    phase: str = "evaluate",
    on_progress: OnProgress = silent,
) -> list[Graded]:
    """Every problem's runs, graded: `run_problems`, then `grade_runs`."""
    runs = run_problems(reasoner, store, problems, measurement, replay=replay, phase=phase, on_progress=on_progress)
    return grade_runs(store, runs)


def run_problems(
    reasoner: Reasoner,
    store: TraceStore,
    problems: Sequence[Problem],
    measurement: Measurement,
    *,
    replay: ToolReplay | None = None,
    phase: str,
    on_progress: OnProgress = silent,
) -> list[tuple[Problem, Trace]]:
    """Every problem's runs, `samples` to a problem and together. Runs that the store holds are not made again.

    Tools with effects are answered by `replay`; see `roll_out`, which makes the runs.
    """
    wanted = [
        (problem, _rollout(problem, measurement, sample))
        for problem in problems
        for sample in range(measurement.samples)
    ]
    traces = roll_out(
        reasoner,
        store,
        [rollout for _, rollout in wanted],
        replay=replay,
        on_done=lambda done, total: on_progress(Progress(phase=phase, done=done, total=total)),
    )
    by_id = {trace.id: trace for trace in traces}
    return [(problem, by_id[item.trace_id]) for problem, item in wanted if item.trace_id in by_id]


def grade_runs(store: TraceStore, runs: Sequence[tuple[Problem, Trace]]) -> list[Graded]:
    """The runs with their grades, which are stored beside their traces."""
    answers = [(problem.key, trace.answer) for problem, trace in runs]
    grades = grade_many(answers, trace_ids=[trace.id for _, trace in runs])
    store.add_grades(grades)
    return [Graded(problem, trace, grade) for (problem, trace), grade in zip(runs, grades, strict=True)]


def report(graded: Sequence[Graded], measurement: Measurement) -> Report:
    """One row per run; what has no grade counts as wrong."""
    return Report(
        suite_hash=measurement.suite_hash,
        model=measurement.model,
        model_version=measurement.model_version,
        temperature=measurement.temperature,
        seed=measurement.seed,
        rows=tuple(_row(item) for item in graded),
    )


def _rollout(problem: Problem, measurement: Measurement, sample: int) -> Rollout:
    identity = [
        measurement.label,
        measurement.suite_hash,
        measurement.model,
        measurement.base_hash,
        measurement.model_version,
        measurement.temperature,
        measurement.seed,
        measurement.setup,
        problem.id,
        sample,
    ]
    return Rollout(
        question=problem.question,
        trace_id=content_id("trace", identity),
        temperature=measurement.temperature,
        seed=derive_seed(measurement.seed, measurement.label, problem.id, sample),
    )


def _row(item: Graded) -> ReportRow:
    trace = item.trace
    return ReportRow(
        problem_id=item.problem.id,
        trace_id=trace.id,
        type=_type_of(item.problem),
        family=item.problem.family,
        difficulty=item.problem.difficulty,
        answer=trace.answer,
        correct=item.grade.lenient or False,
        strict=item.grade.strict or False,
        outcome=trace.outcome,
        calls=len(trace.calls),
        tool_calls=trace.tool_calls,
        tokens=trace.total_tokens,
        seconds=trace.seconds,
    )


def _type_of(problem: Problem) -> QuestionType:
    if problem.question.type is None:
        raise BadInputError(f"problem {problem.id} has no question type, and a report is by type: give it one")
    return problem.question.type
