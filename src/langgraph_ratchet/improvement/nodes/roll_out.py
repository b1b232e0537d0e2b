"""Lets the champion solve the practice problems several times each, sampled."""

from dataclasses import asdict

from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.evaluation.runner import run_problems
from langgraph_ratchet.improvement.measuring import measurement_of
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.nodes.propose import practice_suite, read_problems
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState


def roll_out(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Every rollout is a trace in the store; grading comes next."""
    runs = practice_runs(state, services, say)
    return {"rollouts": {"problems": len({problem.id for problem, _ in runs}), "traces": len(runs)}}


def practice_runs(state: ImprovementState, services: Services, say: OnProgress) -> list[tuple[Problem, Trace]]:
    """The round's rollouts: run now, or read from the store when they have been run."""
    measurement = measurement_of(
        state,
        services,
        label=f"practice {state['run_id']} {state['round']}",
        suite=practice_suite(state),
        version=state["champion"],
        temperature=state["temperature"],
        samples=state["samples"],
    )
    identity = content_hash(asdict(measurement))
    runs = services.rolled_out.get(identity)
    if runs is None:
        problems = read_problems(str(state["practice_problems"]))
        reasoner = services.reasoner(state["champion"], deterministic=state.get("deterministic", False))
        runs = run_problems(
            reasoner,
            services.store,
            problems,
            measurement,
            replay=services.replay,
            phase="roll_out",
            on_progress=say,
        )
        services.rolled_out.clear()  # of earlier rounds
        services.rolled_out[identity] = runs
    return runs
