"""`ratchet traces ls`: recorded runs, the newest first."""

from typing import Annotated

import typer

from langgraph_ratchet.cli.environment import read_settings
from langgraph_ratchet.cli.printable import moment, one_line, short_id
from langgraph_ratchet.cli.terminal import Terminal, open_terminal, table
from langgraph_ratchet.cli.verb import AsJson
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.core.visible import counted
from langgraph_ratchet.traces.run import Run, TraceSummary

_OUTCOMES = ", ".join(outcome.value for outcome in Outcome)


def ls(
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 20,
    outcome: Annotated[Outcome | None, typer.Option(metavar="OUTCOME", help=f"Only these: {_OUTCOMES}.")] = None,
    as_json: AsJson = False,
) -> None:
    """List recorded runs, the newest first."""
    from langgraph_ratchet.traces.store import TraceStore

    with open_terminal(as_json) as terminal:
        store = TraceStore(read_settings().trace_store)
        found = store.traces(limit=limit, outcome=outcome)
        grades = {summary.id: store.grades(summary.id) for summary in found}
        unfinished = store.open_runs()
        _print(terminal, found, grades)
        _print_unfinished(terminal, unfinished)
        terminal.result(
            {
                "traces": [
                    {
                        **summary.model_dump(mode="json"),
                        "grades": [grade.model_dump(mode="json") for grade in grades[summary.id]],
                    }
                    for summary in found
                ],
                "unfinished": [run.model_dump(mode="json") for run in unfinished],
            }
        )


def _print(terminal: Terminal, found: list[TraceSummary], grades: dict[str, list[Grade]]) -> None:
    if not found:
        terminal.line("No runs of this kind are recorded. ratchet solve records one.")
        return
    listing = table("trace", "when", "outcome", "grade", "question", "answer", filling=("question", "answer"))
    listing.columns[4].ratio = 2
    for summary in found:
        listing.add_row(
            short_id(summary.id),
            moment(summary.started_at),
            summary.outcome.value.replace("_", " "),
            judged(grades[summary.id]),
            one_line(summary.question),
            one_line(summary.answer or "–"),
        )
    terminal.console.print(listing)


def _print_unfinished(terminal: Terminal, unfinished: list[Run]) -> None:
    if unfinished:
        named = ", ".join(short_id(run.id) for run in unfinished[-3:])
        terminal.blank()
        terminal.line(f"{counted(len(unfinished), 'run')} still going or interrupted, the last: {named}")


def judged(grades: list[Grade]) -> str:
    """The grades in a word: right, wrong, or a dash for a run that nothing has judged."""
    scores = [grade.score for grade in grades if grade.score is not None]
    if not scores:
        return "–"
    return "right" if all(score == 1.0 for score in scores) else "wrong"
