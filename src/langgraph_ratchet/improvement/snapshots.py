"""What a checkpoint says about where a run stands. The one place that asks, because the obvious question is wrong.

`snapshot.next == ()` does not mean that a run is finished. A process that is killed after a node's writes were saved
and before the checkpoint that takes them in was, leaves a task whose writes wait: `next` is empty, `tasks` is not.
"""

from typing import Any

from langgraph.types import StateSnapshot


def has_begun(snapshot: StateSnapshot) -> bool:
    """Whether there is a run at all."""
    return bool(snapshot.values) or bool(snapshot.tasks)


def is_finished(snapshot: StateSnapshot) -> bool:
    """Whether the run has come to its end: it began, and no task is left, not even one whose writes only wait."""
    return has_begun(snapshot) and not snapshot.tasks


def question_of(snapshot: StateSnapshot) -> dict[str, Any] | None:
    """What the run asks a person and waits to be told; `None` when it does not wait."""
    return next((interrupt.value for task in snapshot.tasks for interrupt in task.interrupts), None)
