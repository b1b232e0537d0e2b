"""One graph, six ways to run it: invoke, ainvoke, stream, astream, batch and abatch come to the same round."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_ratchet.core.errors import UnknownNameError
from langgraph_ratchet.improvement.graph import create_improver
from langgraph_ratchet.reasoning.budgets import Budgets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG: Any = {"configurable": {"thread_id": "tiny"}}
WAYS = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch")


@pytest.fixture(scope="module")
def tiny() -> ModuleType:
    """The parts of an improvement run of seconds."""
    spec = importlib.util.spec_from_file_location("tiny_run", Path(__file__).with_name("tiny_run.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def run(graph: Any, way: str, given: Any) -> dict[str, Any]:
    """The last state of one run, as that way gives it."""
    match way:
        case "invoke":
            return dict(graph.invoke(given, CONFIG))
        case "ainvoke":
            return dict(await graph.ainvoke(given, CONFIG))
        case "stream":
            return dict([*graph.stream(given, CONFIG, stream_mode="values")][-1])
        case "astream":
            return dict([state async for state in graph.astream(given, CONFIG, stream_mode="values")][-1])
        case "batch":
            return dict(graph.batch([given], CONFIG)[0])
        case _:
            return dict((await graph.abatch([given], CONFIG))[0])


async def round_of(tiny: ModuleType, folder: Path, way: str, budgets: Budgets) -> dict[str, Any]:
    """What one deterministic round came to, without its times."""
    services = replace(tiny.tiny_services(folder), budgets=budgets)
    graph = create_improver(services).compile(checkpointer=InMemorySaver())
    try:
        state = await run(graph, way, tiny.tiny_settings(folder, deterministic=True, promotion="auto", count=2))
    finally:
        services.store.close()
    (line,) = state["history"]
    return {name: value for name, value in line.items() if name != "seconds"}


async def test_every_way_comes_to_the_same_round(tiny: ModuleType, tmp_path: Path) -> None:
    # Nothing is answered with one call, so the round ends before training: a process that is the same every way.
    lines = {way: await round_of(tiny, tmp_path / way, way, Budgets(calls=1)) for way in WAYS}
    first = lines["invoke"]
    assert first["stopped"]
    assert first["rollouts"]["traces"] == 8
    assert {way: line == first for way, line in lines.items()} == dict.fromkeys(WAYS, True)


async def test_sync_and_async_train_and_decide_the_same(tiny: ModuleType, tmp_path: Path) -> None:
    lines = [await round_of(tiny, tmp_path / way, way, Budgets()) for way in ("invoke", "ainvoke")]
    assert lines[0]["dataset"]
    assert lines[0]["decision"]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("way", WAYS)
async def test_bad_input_is_the_same_error_every_way(tiny: ModuleType, tmp_path: Path, way: str) -> None:
    services = tiny.tiny_services(tmp_path)
    graph = create_improver(services).compile(checkpointer=InMemorySaver())
    with pytest.raises(UnknownNameError, match="unknown suite 'no_such'"):
        await run(graph, way, {"run_id": "tiny", "suite": "no_such"})
    services.store.close()
