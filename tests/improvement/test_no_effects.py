"""Practising and measuring run an agent again and again, and do nothing that its tools would do."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.tools import BaseTool

from langgraph_ratchet.core.progress import silent
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.improvement.manifest import setup_hash
from langgraph_ratchet.improvement.measuring import held_out_report, held_out_sets
from langgraph_ratchet.improvement.nodes.diagnose import settle
from langgraph_ratchet.improvement.nodes.propose import propose
from langgraph_ratchet.improvement.nodes.roll_out import practice_runs
from langgraph_ratchet.improvement.state import new_round
from langgraph_ratchet.tools.calculator import SPEC, calculate, calculator_tool
from langgraph_ratchet.tools.replay import ToolReplay
from langgraph_ratchet.tools.spec import Effect


@pytest.fixture
def called() -> list[str]:
    return []


@pytest.fixture
def acting(called: list[str]) -> BaseTool:
    """A calculator that says it writes: the pocket model knows how to call it."""

    def act(expression: str) -> str:
        called.append(expression)
        return calculate(expression)

    writes = SPEC.model_copy(update={"effects": frozenset({Effect.WRITES})})
    return calculator_tool().model_copy(update={"func": act, "metadata": writes.metadata()})


def simulate(tool: str, arguments: Mapping[str, Any]) -> str:
    return calculate(arguments["expression"])


@pytest.mark.parametrize(
    ("replay", "outcomes"),
    [
        pytest.param(None, {Outcome.NOT_RECORDED}, id="nothing recorded", marks=pytest.mark.slow),
        pytest.param(ToolReplay(simulator=simulate), {Outcome.ANSWERED}, id="a simulator"),
    ],
)
def test_no_tool_with_effects_is_called(
    workplace: Any, acting: BaseTool, called: list[str], replay: ToolReplay | None, outcomes: set[Outcome]
) -> None:
    services = replace(workplace.services, tools=(acting,), replay=replay)
    state: Any = {**settle({**workplace.settings, "samples": 1}), **new_round(1, None)}
    state |= propose(state, services, silent)
    traces = [trace for _, trace in practice_runs(state, services, silent)]
    report = held_out_report(state, services, None, held_out_sets(state), phase="evaluate", say=silent)
    assert called == []
    assert len(traces) == len(report.rows) == 10
    # The pocket model calls the calculator in most runs, and now and then loses its thread.
    assert outcomes <= {trace.outcome for trace in traces} & {row.outcome for row in report.rows}
    assert all(step.replayed for trace in traces for step in trace.steps)
    assert any(trace.steps for trace in traces) is (replay is not None)


def test_other_recordings_are_another_setup(workplace: Any) -> None:
    simulated = replace(workplace.services, replay=ToolReplay(simulator=simulate))
    assert setup_hash(simulated) != setup_hash(workplace.services)
