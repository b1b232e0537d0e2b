"""Runs the improvement graph with a durable checkpointer: begins a run, goes on with one, answers one that waits.

What is done is in the checkpoint, what was half done is done again by the node that was at it: every node finds what
it did before by ids that follow from what it does.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from langgraph_ratchet.core.errors import BadInputError, DiskError, StoreError
from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.improvement.exclusive import exclusive
from langgraph_ratchet.improvement.graph import build
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.snapshots import has_begun, is_finished, question_of
from langgraph_ratchet.improvement.state import ImprovementInput, ImprovementState

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

OnEvent = Callable[[str, Any], None]
"""Takes what the graph streams: a mode (`custom` or `updates`) and an event."""

_CHECKPOINTS = "checkpoints.db"


@dataclass(frozen=True)
class Standing:
    """Where a run stands when this process has done what it could."""

    state: ImprovementState
    question: dict[str, Any] | None
    """What it asks and waits to be told; `None` when it is finished."""


def run_rounds(
    services: Services,
    settings: ImprovementInput,
    *,
    resume: bool = False,
    answer: Any = None,
    on_event: OnEvent = lambda mode, event: None,
) -> Standing:
    """Runs until the run is finished or waits for a person.

    Args:
        services: what the graph works with.
        settings: of the run; without `run_id`, a new run gets one, and `resume` takes the newest unfinished run.
            When a run goes on, what is given must be what it began with; only `promotion` may differ.
        resume: go on with a run instead of beginning one.
        answer: to the question that the run waits with; see `approval.Approval`. It never answers a later question.
        on_event: told what the graph streams.

    Raises:
        BadInputError: the run exists and is not to be resumed, or the other way round; something has changed that must
            not; another process is at it; there is an answer and no question.
        DiskError: a checkpoint or a file could not be written; the run can be resumed.
    """
    with exclusive(services.registry.root, services.folder), _checkpoints(services.folder) as saver:
        services = replace(services, promotion=settings.get("promotion") if resume else None)
        graph: Any = build(services).compile(checkpointer=saver)
        run_id = settings.get("run_id") or (_newest_unfinished(graph, saver, services) if resume else new_id("improve"))
        config: RunnableConfig = {"configurable": {"thread_id": run_id}}
        before = graph.get_state(config)
        if has_begun(before) is not resume:
            raise BadInputError(
                f"there is no run {run_id!r} in {services.folder} to resume"
                if resume
                else f"run {run_id!r} exists: go on with --resume, or name another run"
            )
        given: Any = None if resume else {**settings, "run_id": run_id}
        if resume:
            _check_unchanged(settings, before.values)
        if answer is not None:
            if question_of(before) is None:
                raise BadInputError(f"run {run_id!r} does not wait for an answer: resume it without one")
            given = Command(resume=answer)
        if not is_finished(before):
            # Every step is on disk before the next begins.
            for mode, event in graph.stream(given, config, stream_mode=["custom", "updates"], durability="sync"):
                on_event(mode, event)
        after = graph.get_state(config)
        return Standing(after.values, question_of(after))


@contextmanager
def _checkpoints(folder: Path) -> Iterator[SqliteSaver]:
    """The checkpointer; whatever part of a run meets a full disk, the error is one, and says how to go on."""
    path = folder / _CHECKPOINTS
    try:
        with SqliteSaver.from_conn_string(str(path)) as saver:
            yield saver
    except sqlite3.Error as error:
        raise DiskError(path, error) from error
    except StoreError as error:
        if "--resume" in str(error):
            raise
        raise StoreError(f"{error}. Go on with --resume when that is mended") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise DiskError(error.filename or folder, error) from error


def _newest_unfinished(graph: Any, saver: SqliteSaver, services: Services) -> str:
    # All of the list first, which is newest first: the saver is locked for as long as it is read.
    threads = dict.fromkeys(checkpoint.config["configurable"]["thread_id"] for checkpoint in list(saver.list(None)))
    for thread in threads:
        if not is_finished(graph.get_state({"configurable": {"thread_id": thread}})):
            return str(thread)
    raise BadInputError(f"there is no unfinished run in {services.folder} to resume")


def _check_unchanged(settings: ImprovementInput, began: ImprovementState) -> None:
    changed = [
        f"{name} was {began.get(name)!r} and is {value!r} now"
        for name, value in settings.items()
        if name not in ("run_id", "promotion") and name in began and began.get(name) != value
    ]
    if changed:
        raise BadInputError(
            f"a run goes on with what it began with: {'; '.join(changed)}. Resume without these, or begin another run"
        )
