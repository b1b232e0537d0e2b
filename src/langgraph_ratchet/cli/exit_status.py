"""What the exit status of a command means."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langgraph_ratchet.core.decision import Verdict


class ExitStatus(IntEnum):
    """Of every verb."""

    DONE = 0
    FAILED = 1
    """One line on stderr says why."""
    WRONG_USAGE = 2
    """An unknown option, a missing argument: typer's own."""
    REJECTED = 3
    """Done, and the gate rejected the candidate."""
    NOT_ENOUGH_EVIDENCE = 4
    """Done, and there were too few problems to decide on."""
    STOPPED = 130
    """By Ctrl-C."""


def status_of(verdict: "Verdict") -> ExitStatus:
    """The status of a command that ended with the gate's `verdict`."""
    return {
        "promote": ExitStatus.DONE,
        "reject": ExitStatus.REJECTED,
        "not_enough_evidence": ExitStatus.NOT_ENOUGH_EVIDENCE,
    }[verdict.value]
