"""Shows a round of improvement as it goes on, and what it came to. `demo` and `improve` share it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from langgraph_ratchet.cli.terminal import Terminal, table
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.visible import counted, percent

HEADINGS = {
    "resume": "Go on with what was stopped",
    "diagnose": "Measure the champion on held-out problems",
    "sample": "Sample the champion on some of them",
    "propose": "Draw practice problems",
    "roll_out": "Roll out the practice problems",
    "grade": "Grade the rollouts",
    "curate": "Curate a dataset",
    "train": "Train a candidate from the base",
    "evaluate": "Measure the candidate on the same problems",
    "control_train": "Train a control on unfiltered runs",
    "control_evaluate": "Measure the control on the same problems",
    "verify": "Verify the files of the version and its base",
    "merge": "Load the base and merge the adapter",
    "write": "Write the files",
}
"""By the phase that a node reports its progress under."""

Figures = dict[str, Any]


class LoopView:
    """A bar for the phase that runs, and a line or more for each one that is done, in their order."""

    def __init__(self, bars: Progress) -> None:
        """Use `loop_view`."""
        self._bars = bars
        self._phase = ""
        self._round = 1
        self._task: TaskID | None = None

    def event(self, mode: str, event: Figures) -> None:
        """Takes an event of `graph.stream(..., stream_mode=["custom", "updates"])`."""
        if mode == "custom":
            self._progress(event)
            return
        self.settle()
        for node, update in event.items():
            if node == "grade" and update:
                self._graded(update["rollouts"])
            if node == "curate" and update:
                self._curated(update["curated"])
            if node == "remember" and update:
                self._remembered(update["history"][-1])

    def settle(self) -> None:
        """Turns the bar of the phase that ran into a line."""
        if self._task is None:
            return
        task = next(task for task in self._bars.tasks if task.id == self._task)
        note = task.fields["note"]
        line = f"{task.description:<44} {task.completed:>6,.0f}  {task.elapsed or 0:>5.0f} s  {note}"
        self._bars.remove_task(self._task)
        self._bars.console.print(line.rstrip())
        self._task = None
        self._phase = ""

    def _progress(self, event: Figures) -> None:
        phase, number = str(event["phase"]), event.get("round") or self._round
        if phase == "remember":
            return
        if number != self._round:
            self.settle()
            self._bars.console.print(f"\nround {number}", style="bold")
            self._round = number
        if phase != self._phase:
            self.settle()
            self._phase = phase
            self._task = self._bars.add_task(HEADINGS.get(phase, phase), total=event.get("total"), note="")
        note = f"loss {event['loss']:.3f}" if event.get("loss") is not None else event.get("message", "")
        if self._task is not None:
            self._bars.update(self._task, completed=event["done"], total=event.get("total"), note=note)

    def _graded(self, rollouts: Figures) -> None:
        self._bars.console.print(
            f"  {counted(rollouts['traces'], 'trace')} of {counted(rollouts['problems'], 'problem')}: "
            f"{rollouts['right']} verified, {rollouts['wrong']} wrong, {rollouts['ungraded']} not gradable"
        )

    def _remembered(self, line: Figures) -> None:
        end = line["stopped"] or line["decision"] or "no decision"
        accuracy = f"{percent(line['accuracy']['champion'])} → {percent(line['accuracy']['candidate'])}"
        self._bars.console.print(f"  round {line['round']}: {accuracy}, {end}")

    def _curated(self, curated: Figures) -> None:
        console = self._bars.console
        console.print(f"  kept {counted(curated['traces'], 'trace')} ({counted(curated['calls'], 'call')}); left out:")
        for drop in curated["dropped"]:
            if drop["count"]:
                console.print(f"  {drop['count']:>6,} {drop['unit']:<9} {drop['explanation']}", style="dim")


@contextmanager
def loop_view(terminal: Terminal) -> Iterator[LoopView]:
    """A view whose bars are taken down however the round ends."""
    bars = Progress(
        TextColumn("{task.description:<44}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:>6,.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=terminal.console,
    )
    with bars:
        view = LoopView(bars)
        yield view
        view.settle()


def show_result(terminal: Terminal, figures: Figures) -> None:
    """The accuracies before and after, the gate's checks, and the decision: of the last round."""
    if figures["stopped"]:
        terminal.row("stopped", figures["stopped"], style="yellow")
    if not figures["decision"]:
        return
    _show_accuracy(terminal, figures)
    _show_beside(terminal, figures)
    terminal.blank()
    for check in figures["checks"]:
        terminal.row("passed" if check["passed"] else "failed", check["explanation"], "" if check["passed"] else "red")
    if figures["control"]:
        terminal.row("curation", figures["control"]["explanation"])
    style = "bold green" if figures["decision"] == "promote" else "bold yellow"
    needed = figures["problems_needed"]
    terminal.row(
        "decision", figures["decision"] + (f"; about {needed} problems would be enough" if needed else ""), style
    )
    if figures["promoted"]:
        terminal.row("champion", f"{figures['candidate']} (was {figures['champion'] or 'the base'})")


def check_copy(copy: Path | None) -> None:
    """Refuses a place for the report before any work is done."""
    if copy is not None and (copy.is_dir() or not copy.resolve().parent.is_dir()):
        raise BadInputError(f"--report {copy}: wanted is the name of a file in a folder that exists")


def show_page(terminal: Terminal, figures: Figures, copy: Path | None) -> None:
    """Where the last round's report lies; `copy` is where it is wanted as well."""
    page = figures["page"]
    if page is None:
        return
    if copy is not None:
        try:
            shutil.copyfile(page, copy)
        except OSError as error:
            raise BadInputError(f"the report could not be copied to {copy} ({error}); it lies at {page}") from error
    terminal.row("report", str(copy or page))


def _show_accuracy(terminal: Terminal, figures: Figures) -> None:
    terminal.blank()
    rows = table(
        "accuracy",
        "before",
        "95 % interval",
        "after",
        "95 % interval",
        "problems",
        right=("before", "after", "problems"),
    )
    rows.add_row("all", *_cells(figures["accuracy"]))
    for kind, both in figures["by_type"].items():
        rows.add_row(f"  {kind}", *_cells(both))
    if figures["never_practised"]:
        rows.add_row("  levels never practised", *_cells(figures["never_practised"]))
    rows.add_row("all, strictly read", *_cells(figures["strict"]))
    terminal.console.print(rows)


def _show_beside(terminal: Terminal, figures: Figures) -> None:
    terminal.blank()
    before, after = figures["cost"]["base"], figures["cost"]["candidate"]
    cost = table("per problem", "before", "after", right=("before", "after"))
    for name in ("calls", "tool_calls", "tokens", "seconds"):
        cost.add_row(name.replace("_", " "), _figure(before[name]), _figure(after[name]) if after else "–")
    terminal.console.print(cost)
    sampled = figures["sampled"]
    if not sampled:
        return
    terminal.blank()
    k = sampled["samples"]
    share = sampled["share_above_majority"]
    terminal.row(
        "sampled",
        f"the base at temperature {sampled['temperature']:g} on {sampled['problems']} of the problems: "
        f"one draw {percent(sampled['base_single']['value'])}, pass@{k} {percent(sampled['base_pass_at_k']['value'])}, "
        f"majority@{k} {percent(sampled['base_majority_at_k']['value'])}; greedy there "
        f"{percent(sampled['base_greedy']['value'])} before, "
        f"{percent((sampled['candidate_greedy'] or {}).get('value'))} after. "
        f"Share of the gain above majority@{k}: {percent(share)}",
    )


def _cells(both: Figures) -> list[str]:
    cells: list[str] = []
    for side in ("base", "candidate"):
        figure = both[side]
        if figure is None:
            cells += ["–", ""]
        else:
            cells += [percent(figure["value"]), f"{100 * figure['low']:.0f}–{100 * figure['high']:.0f}"]
    return [*cells, str((both["base"] or {}).get("n", ""))]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
