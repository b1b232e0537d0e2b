"""`ratchet demo`: the whole loop on the pocket model, in a scratch folder."""

import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from langgraph_ratchet.cli.exit_status import ExitStatus, status_of
from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb

if TYPE_CHECKING:
    from langgraph_ratchet.core.problem import Problem
    from langgraph_ratchet.improvement.services import Services
    from langgraph_ratchet.improvement.state import ImprovementInput

app = new_verb()

_TRIED_AT_MOST = 24
_TRIED_WHEN_QUICK = 6
"""Practice problems that are tried in search of one that goes right and one that goes wrong."""


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Of the practice problems, the rollouts and the training.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="Scratch folder, kept afterwards; a new temporary one if not given.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what lies in --folder.")] = False,
    control: Annotated[
        bool, typer.Option("--control", help="Train a control on unfiltered runs too, to see what curation is worth.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the report here as well: one HTML file.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute, on so few problems that the gate cannot promote.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The whole loop on the pocket model, in a scratch registry: nothing of yours is read or changed.

    Solves two problems in the open, measures the model on held-out problems, practises, trains, measures again, and
    lets the gate decide; promotion is automatic here. With --quick it cannot be: the exit status is 3 or 4.
    """
    from langgraph_ratchet.cli.loop_view import check_copy, show_page

    check_copy(report)
    with open_terminal(as_json) as terminal:
        figures = run_demo(terminal, seed=seed, folder=folder, resume=resume, quick=quick, control=control)
        show_page(terminal, figures, report)
        terminal.result(figures)
    if figures["decision"]:
        from langgraph_ratchet.core.decision import Verdict

        raise typer.Exit(status_of(Verdict(figures["decision"])))
    raise typer.Exit(ExitStatus.FAILED)


def run_demo(
    terminal: Terminal, *, seed: int, folder: Path | None, resume: bool, quick: bool, control: bool
) -> dict[str, Any]:
    """The demo's figures: those of `improvement.summary.summarize`, with `total_seconds` and `peak_rss_mib`."""
    started = time.monotonic()
    from tempfile import mkdtemp

    from langgraph_ratchet.cli.loop_view import show_result
    from langgraph_ratchet.cli.rounds import improve_shown

    scratch = (folder or Path(mkdtemp(prefix="ratchet-demo-"))).resolve()
    terminal.row("demo", "the pocket model that ships in the package; no key, no network")
    terminal.row("scratch", f"{scratch}; promotion is automatic in its registry")
    services = _services(scratch)
    flags = f"--seed {seed}" + (" --quick" if quick else "") + (" --control" if control else "")
    settings: dict[str, Any] = {"run_id": f"demo-{seed}", "seed": seed, "promotion": "auto", "control": control}
    settings["command"] = f"ratchet demo {flags}"
    if quick:
        settings |= {"run_id": f"demo-quick-{seed}", "suite": "quick", "practice": "quick_practice"}
        settings |= {"sampled_problems": 0}
        terminal.row("quick", "6 held-out problems: shows that all works; too few for the gate to promote anything")
    try:
        problems = [] if resume else _show_two(terminal, services, quick=quick)
        showing = time.monotonic() - started
        terminal.blank()
        figures = improve_shown(terminal, services, cast("ImprovementInput", settings), resume=resume)
    except KeyboardInterrupt:
        terminal.row("go on with", f"ratchet demo --resume --folder {scratch} {flags}")
        raise
    show_result(terminal, figures)
    figures["seconds_by_phase"] = {"show": round(showing, 3), **figures["seconds_by_phase"]}
    figures |= {
        "shown": problems,
        "total_seconds": round(time.monotonic() - started, 3),
        "peak_rss_mib": peak_rss_mib(),
        "scratch": str(scratch),
        "quick": quick,
    }
    terminal.row("took", f"{figures['total_seconds']:.0f} s, at most {figures['peak_rss_mib']:.0f} MiB of memory")
    return figures


def peak_rss_mib() -> float:
    """Upper bound of the memory of this process and its children together: their peaks, added."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(sum(peaks) / unit, 1)


def _services(scratch: Path) -> "Services":
    from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
    from langgraph_ratchet.improvement.services import make_services
    from langgraph_ratchet.reasoning.budgets import UNTIMED
    from langgraph_ratchet.registry import Registry
    from langgraph_ratchet.traces.store import TraceStore

    registry = Registry(scratch / "models")
    return make_services(
        # Its longest sensible reply has 50 tokens.
        lambda adapter: ChatTransformers(model="pocket", adapter=adapter, registry=registry.root, max_tokens=96),
        store=TraceStore(f"sqlite:///{scratch / 'traces.db'}"),
        registry=registry,
        folder=scratch,
        # The hardest problem takes 4 tool calls, 8 after a revision. A run that loops would make every prompt of its
        # batch as wide as its own, and the demo is to stay under 3 GiB.
        budgets=replace(UNTIMED, calls=28, tool_calls=10),
    )


def _show_two(terminal: Terminal, services: "Services", *, quick: bool) -> list[dict[str, Any]]:
    """Solves practice problems until one went right and one wrong, and shows these two."""
    from langgraph_ratchet.core.trace import Trace
    from langgraph_ratchet.grading import grade
    from langgraph_ratchet.problems.generate import generate
    from langgraph_ratchet.problems.suites import load_suite
    from langgraph_ratchet.reasoning.reruns import Recordings, again

    suite = load_suite("quick_practice" if quick else "first_light_practice")
    problems = generate(suite.model_copy(update={"seed": suite.seed + 1}))
    tries = _TRIED_WHEN_QUICK if quick else _TRIED_AT_MOST
    step = max(1, len(problems) // tries)
    reasoner, recordings = services.reasoner(None), Recordings(services.store, services.replay)
    found: dict[bool, tuple[Problem, Trace]] = {}
    for problem in problems[::step][:tries]:
        with again(recordings, problem.question.id):
            result = reasoner.invoke({"question": problem.question.model_dump(mode="json")})
        trace = services.store.trace(result["trace_id"])
        right = grade(problem.key, trace.answer).score == 1.0
        found.setdefault(right, (problem, trace))
        if len(found) == 2:
            break
    for right, (problem, trace) in sorted(found.items(), key=lambda item: not item[0]):
        _show_trace(terminal, problem, trace, right)
    return [
        {"question": problem.question.text, "answer": trace.answer, "key": problem.key.value, "right": right}
        for right, (problem, trace) in found.items()
    ]


def _show_trace(terminal: Terminal, problem: "Problem", trace: Any, right: bool) -> None:
    terminal.blank()
    terminal.row("question", problem.question.text, style="bold")
    terminal.row("strategy", trace.strategy or "–")
    terminal.row("plan", "\n".join(f"{number}. {line}" for number, line in enumerate(trace.plan, start=1)))
    for step in trace.steps:
        terminal.row("tool", f"{step.description}\n→ {step.output}")
    if not trace.steps:
        terminal.row("tool", "none was called")
    terminal.row(
        "answer", f"{trace.answer}" + ("" if right else f" (right: {problem.key.value})"), "green" if right else "red"
    )
