"""Runs rounds of improvement and shows them: what `demo` and `improve` have in common."""

from typing import TYPE_CHECKING, Any

from langgraph_ratchet.cli.loop_view import loop_view
from langgraph_ratchet.cli.terminal import Terminal

if TYPE_CHECKING:
    from langgraph_ratchet.improvement.services import Services
    from langgraph_ratchet.improvement.state import ImprovementInput


def improve_shown(
    terminal: Terminal,
    services: "Services",
    settings: "ImprovementInput",
    *,
    resume: bool,
    answer: Any = None,
) -> dict[str, Any]:
    """`improvement.rounds.run_rounds` with its progress on the terminal.

    Returns:
        `improvement.summary.summarize` of the last state, with `waiting` (whether it stands at the approval) and
        `question` (what it asks there).
    """
    from langgraph_ratchet.improvement.rounds import run_rounds
    from langgraph_ratchet.improvement.summary import summarize

    with loop_view(terminal) as view:
        standing = run_rounds(services, settings, resume=resume, answer=answer, on_event=view.event)
    question = standing.question
    return {**summarize(standing.state), "waiting": question is not None, "question": question}
