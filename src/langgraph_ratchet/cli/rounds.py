"""Runs the improvement graph with a durable checkpointer and shows it: what `demo` and `improve` have in common."""

from typing import TYPE_CHECKING, Any

from langgraph_ratchet.cli.loop_view import LoopView, loop_view
from langgraph_ratchet.cli.terminal import Terminal
from langgraph_ratchet.core.errors import BadInputError

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from langgraph_ratchet.improvement.services import Services


def improve_once(
    terminal: Terminal,
    services: "Services",
    settings: dict[str, Any],
    *,
    resume: bool,
    approval: bool | None = None,
) -> dict[str, Any]:
    """One round, from its checkpoint when it was stopped before.

    Args:
        terminal: where progress goes.
        services: what the graph works with.
        settings: `ImprovementInput`; its `run_id` names the checkpointed thread.
        resume: go on with that run instead of beginning it.
        approval: the answer when the graph asks for approval; `None` leaves it waiting.

    Returns:
        `improvement.summary.summarize` of the last state, with `waiting` when it stands at the approval.

    Raises:
        BadInputError: the run exists and is not to be resumed, or the other way round.
    """
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.types import Command

    from langgraph_ratchet.improvement.graph import build
    from langgraph_ratchet.improvement.summary import summarize

    services.folder.mkdir(parents=True, exist_ok=True)
    config: RunnableConfig = {"configurable": {"thread_id": settings["run_id"]}}
    with SqliteSaver.from_conn_string(str(services.folder / "checkpoints.db")) as saver:
        graph: Any = build(services).compile(checkpointer=saver)
        before = graph.get_state(config)
        started = bool(before.values) or bool(before.tasks)
        if started and not resume:
            raise BadInputError(f"run {settings['run_id']!r} exists: go on with --resume, or name another run")
        if resume and not started:
            raise BadInputError(f"there is no run {settings['run_id']!r} in {services.folder} to resume")
        with loop_view(terminal) as view:
            _advance(graph, config, None if resume else settings, view)
            if approval is not None and _waits(graph, config):
                _advance(graph, config, Command(resume=approval), view)
        waiting = _waits(graph, config)
        return {**summarize(graph.get_state(config).values), "waiting": waiting}


def _advance(graph: Any, config: "RunnableConfig", given: Any, view: LoopView) -> None:
    """Runs the graph until it ends or waits; every step is on disk before the next begins."""
    for mode, event in graph.stream(given, config, stream_mode=["custom", "updates"], durability="sync"):
        view.event(mode, event)


def _waits(graph: Any, config: "RunnableConfig") -> bool:
    return any(task.interrupts for task in graph.get_state(config).tasks)
