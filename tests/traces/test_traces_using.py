"""Finding the recordings of a tool: the runs that called it, each once, in their order."""

from collections.abc import Callable
from typing import Any

from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.traces import store as module
from langgraph_ratchet.traces.store import TraceStore


def test_runs_are_found_by_the_tools_that_they_called(
    store: TraceStore, question: Question, make_trace: Callable[..., Trace], monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "_ASKED", 2)  # read in several parts
    assert list(store.traces_using(["send"])) == []

    def used(*tools: str) -> tuple[Step, ...]:
        named = enumerate(tools, start=1)
        return tuple(Step(number=n, description='says "tool":"send"', tool=tool, call_id="call") for n, tool in named)

    runs = [("send",), ("look", "send", "send"), ("look",), ("sender",), (), ("grüß",), ("send",), ("look",)]
    for number, tools in enumerate(runs):
        store.begin(f"run_{number}", question, "scripted", 0.0)
        store.finish(make_trace(f"run_{number}", steps=used(*tools)))

    def found(*tools: str) -> list[str]:
        return [trace.id for trace in store.traces_using(tools)]

    assert found("send") == ["run_0", "run_1", "run_6"]
    assert found("look", "grüß") == ["run_1", "run_2", "run_5", "run_7"]
    assert found() == []
    assert [step.tool for trace in store.traces_using(["grüß"]) for step in trace.steps] == ["grüß"]
