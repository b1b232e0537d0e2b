"""`ratchet traces show`: one run in full."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_ratchet.cli.environment import read_settings
from langgraph_ratchet.cli.narration import call_text, confidence_text
from langgraph_ratchet.cli.printable import moment, one_line
from langgraph_ratchet.cli.terminal import Terminal, open_terminal, table
from langgraph_ratchet.cli.verb import AsJson
from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.step import Step, Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.core.visible import counted

if TYPE_CHECKING:  # loads SQLAlchemy
    from langgraph_ratchet.traces.store import TraceStore


def show(
    trace: Annotated[str, typer.Argument(help="A trace's id, or the beginning of one.")],
    as_json: AsJson = False,
) -> None:
    """Show one recorded run: question, plan, steps, calls, answer and grades."""
    from langgraph_ratchet.traces.store import TraceStore

    with open_terminal(as_json) as terminal:
        store = TraceStore(read_settings().trace_store)
        found = _find(store, trace)
        grades = store.grades(found.id)
        superseded = store.superseded(found.id)
        _print_run(terminal, found)
        _print_steps(terminal, found)
        _print_calls(terminal, found, len(superseded))
        _print_end(terminal, found, grades)
        terminal.result(
            {
                "trace": found.model_dump(mode="json"),
                "grades": [grade.model_dump(mode="json") for grade in grades],
                "superseded": [call.model_dump(mode="json") for call in superseded],
            }
        )


def _find(store: "TraceStore", name: str) -> Trace:
    try:
        return store.trace(name)
    except UnknownNameError:
        for run in store.open_runs():
            if name and run.id.startswith(name):
                calls = counted(len(store.calls(run.id)), "call")
                raise BadInputError(
                    f"{run.id} has no trace yet: the run is still going or was interrupted ({calls} recorded)"
                ) from None
        raise


def _print_run(terminal: Terminal, trace: Trace) -> None:
    terminal.row("Trace", trace.id)
    terminal.row("When", f"{moment(trace.started_at)}, {trace.seconds:.1f} s, langgraph-ratchet {trace.code_version}")
    terminal.row("Model", trace.model + (f", version {trace.model_version}" if trace.model_version else ""))
    terminal.blank()
    terminal.row("Question", trace.question.text, "bold")
    if trace.question.context:
        terminal.row("Context", trace.question.context)
    if trace.question.attachments:
        terminal.row("Attached", ", ".join(attachment.name for attachment in trace.question.attachments))
    terminal.row("Plan", "\n".join(f"{number}. {line}" for number, line in enumerate(trace.plan, 1)) or "none")
    terminal.row("Strategy", trace.strategy or "none")
    if trace.revisions:
        terminal.row("Revisions", f"{trace.revisions}: the plan is the last one, steps and calls are of all")


def _print_steps(terminal: Terminal, trace: Trace) -> None:
    deciding_call = ""
    if trace.steps:
        terminal.blank()
    for step in trace.steps:
        label = f"Step {step.number}"
        if step.reasoning and step.call_id != deciding_call:  # one reply may have called several tools
            terminal.row(label, step.reasoning)
            label = ""
        deciding_call = step.call_id
        terminal.row(label, call_text(step.tool, step.input or {}) if step.tool else step.description, "cyan")
        if step.output is not None:
            output = step.output.removeprefix("error: ") if step.failed else step.output
            terminal.row("", f"{_verb(step)} {output}", "yellow" if step.failed else "")


def _verb(step: Step) -> str:
    if step.failed:
        return "failed:"
    return "found (not trusted):" if step.trust is Trust.UNTRUSTED else "="


def _print_calls(terminal: Terminal, trace: Trace, superseded: int) -> None:
    terminal.blank()
    listing = table("call", "node", "in", "out", "seconds", "token ids", "reply", right=("in", "out", "seconds"))
    listing.columns[-1].ratio = 1
    listing.expand = True
    for number, call in enumerate(trace.calls, 1):
        listing.add_row(
            str(number),
            call.node,
            _figure(call.usage.input_tokens if call.usage else None),
            _figure(call.usage.output_tokens if call.usage else None),
            f"{call.seconds:.2f}",
            "kept" if call.exact else "–",
            _reply_text(call),
        )
    terminal.console.print(listing)
    if superseded:
        calls = counted(superseded, "call")
        terminal.line(f"{calls} superseded: left by an interruption or a retry, not part of the run, never trained on")
    terminal.blank()


def _figure(tokens: int | None) -> str:
    return "–" if tokens is None else f"{tokens:,}"


def _reply_text(call: Call) -> str:
    if call.reply is None:
        return one_line(f"failed: {call.error}")
    content: Any = call.reply.get("content") or ""
    asked = ", ".join(str(item["function"]["name"]) for item in call.reply.get("tool_calls") or [])
    words = [content if isinstance(content, str) else str(content), f"calls {asked}" if asked else ""]
    return one_line(" ".join(word for word in words if word) or "(empty)")


def _print_end(terminal: Terminal, trace: Trace, grades: list[Grade]) -> None:
    answered = trace.outcome is Outcome.ANSWERED
    if answered:
        terminal.row("Answer", trace.answer or "", "bold")
        terminal.row("Confidence", confidence_text(trace.confidence))
    error = f": {trace.error}" if trace.error else ""
    terminal.row("Outcome", f"{trace.outcome.value.replace('_', ' ')}{error}", "" if answered else "yellow")
    calls = counted(len(trace.calls), "call")
    tokens = "tokens not reported" if trace.total_tokens is None else counted(trace.total_tokens, "token")
    terminal.row(
        "Took", f"{trace.seconds:.1f} s, {calls} of the model, {counted(trace.tool_calls, 'tool call')}, {tokens}"
    )
    for grade in grades:
        terminal.row("Grade", f"{_grade_text(grade)} ({grade.grader}: {grade.reason})", _tone(grade))
    if not grades:
        terminal.row("Grade", "none: nothing has judged this run")


def _grade_text(grade: Grade) -> str:
    if grade.score is None:
        return "could not be judged"
    if not grade.lenient:
        return "wrong"
    return "right" if grade.strict else "right, with more than the answer in it"


def _tone(grade: Grade) -> str:
    return "green" if grade.verified else "yellow"
