"""A round of improvement on the pocket model, small enough for a test: two levels, a few problems of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from langgraph_ratchet.improvement.graph import build, make_services
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

SUITE = """
schema_version = 1
name = "{name}"
split = "{split}"
seed = 7

[[sources]]
family = "chain_sum"
levels = [1, 3]
count = {count}
"""


@dataclass(frozen=True)
class Workplace:
    """Services in a folder of their own, and the settings of a small round."""

    services: Services
    settings: dict[str, Any]

    def graph(self) -> CompiledStateGraph[Any, Any, Any, Any]:
        """The improvement graph with a checkpointer in memory."""
        return build(self.services).compile(checkpointer=InMemorySaver())


def make_workplace(folder: Path) -> Workplace:
    """A workplace in `folder`."""
    for name, split, count in (("held_out", "held_out", 5), ("practice", "train", 5)):
        (folder / f"{name}.toml").write_text(SUITE.format(name=name, split=split, count=count), encoding="utf-8")
    services = make_services(
        "pocket",
        store=TraceStore(f"sqlite:///{folder / 'traces.db'}"),
        registry=Registry(folder / "models"),
        folder=folder,
    )
    settings = {
        "run_id": "test",
        "suite": str(folder / "held_out.toml"),
        "practice": str(folder / "practice.toml"),
        "samples": 4,
        "sampled_problems": 3,
        "promotion": "auto",
    }
    return Workplace(services, settings)


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = make_workplace(tmp_path)
    yield place
    place.services.store.close()


@dataclass(frozen=True)
class Round:
    """A finished round: where it ran, the nodes in their order, and its last state."""

    workplace: Workplace
    nodes: list[str]
    progress: list[dict[str, Any]]
    state: dict[str, Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    place = make_workplace(tmp_path_factory.mktemp("round"))
    graph = place.graph()
    config = {"configurable": {"thread_id": "test"}}
    nodes: list[str] = []
    progress: list[dict[str, Any]] = []
    for mode, event in graph.stream(place.settings, config, stream_mode=["custom", "updates"]):
        if mode == "custom":
            progress.append(event)
        else:
            nodes += event
    yield Round(place, nodes, progress, graph.get_state(config).values)
    place.services.store.close()
