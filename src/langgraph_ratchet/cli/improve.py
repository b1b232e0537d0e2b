"""`ratchet improve`: practise, train, measure, and promote if it is better."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from langgraph_ratchet.cli.exit_status import ExitStatus, status_of
from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb

if TYPE_CHECKING:
    from langgraph_ratchet.improvement.state import ImprovementInput

app = new_verb()


@app.command()
def improve(
    model: Annotated[str | None, typer.Option(help="Base model, by name or path; default: the settings'.")] = None,
    suite: Annotated[
        str | None, typer.Option(help="Suite to measure on: a name or a TOML file; default: first_light.")
    ] = None,
    practice: Annotated[str | None, typer.Option(help="Suite to practise on; default: first_light_practice.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds; they share the gate's error budget.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Rollouts per practice problem; default: 4.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="Of the rollouts; default: 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of practice problems, rollouts and training; default: 0.")] = None,
    promotion: Annotated[
        str | None, typer.Option(help="ask, auto or never, when the gate says promote; default: the settings'.")
    ] = None,
    sampled: Annotated[
        int | None, typer.Option(min=0, help="Held-out problems to sample the champion on as well; default: none.")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="A resumed run equals one that was not stopped; slower.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="Train a control on unfiltered runs too, to see what curation is worth.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write the last round's report here as well: one HTML file.")
    ] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Name of the run; a new one is made up.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run of that name, or with the newest unfinished one.")
    ] = False,
    approve: Annotated[
        bool | None, typer.Option("--approve/--reject", help="With --resume: the answer to a run that waits.")
    ] = None,
    more: Annotated[
        int | None, typer.Option(min=1, help="With --resume: measure that many more problems, then ask again.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the promotion.")] = "",
    as_json: AsJson = False,
) -> None:
    """Rounds of improvement; a candidate that the gate passes waits for approval, unless the settings differ."""
    answer = _answer(approve, more, reason)
    if answer is not None and not resume:
        raise typer.BadParameter("--approve, --reject and --more answer a run that waits: give --resume too")
    if promotion not in (None, "ask", "auto", "never"):
        raise typer.BadParameter(f"--promotion is {promotion!r}; it takes ask, auto or never")
    from langgraph_ratchet.cli.loop_view import check_copy, show_page

    check_copy(report)
    given = {
        "run_id": run_id,
        "suite": suite,
        "practice": practice,
        "rounds": rounds,
        "samples": samples,
        "temperature": temperature,
        "seed": seed,
        "promotion": promotion,
        "sampled_problems": sampled,
        "deterministic": deterministic or None,
        "control": control or None,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    with open_terminal(as_json) as terminal:
        figures = _run(terminal, model, settings, resume=resume, answer=answer)
        show_page(terminal, figures, report)
        terminal.result(figures)
    raise typer.Exit(_status(figures))


def _answer(approve: bool | None, more: int | None, reason: str) -> dict[str, Any] | None:
    """The form of `improvement.approval`, filled in; `None` when nothing was answered."""
    if approve is None and more is None:
        if reason:
            raise typer.BadParameter("--reason goes with --approve, --reject or --more")
        return None
    if approve is not None and more is not None:
        raise typer.BadParameter("give one of --approve, --reject and --more")
    from getpass import getuser

    try:
        by = getuser()
    except (KeyError, OSError):  # no name for this user id, as in some containers
        by = "a person"
    verdict = "more_problems" if more else "promote" if approve else "reject"
    return {"verdict": verdict, "count": more, "reason": reason, "by": by}


def _run(
    terminal: Terminal, model: str | None, settings: dict[str, Any], *, resume: bool, answer: dict[str, Any] | None
) -> dict[str, Any]:
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.cli.loop_view import show_result
    from langgraph_ratchet.cli.rounds import improve_shown
    from langgraph_ratchet.core.ids import new_id
    from langgraph_ratchet.improvement.services import make_services
    from langgraph_ratchet.registry import Registry
    from langgraph_ratchet.traces.store import TraceStore

    environment = read_settings()
    if not resume:
        settings = {"run_id": new_id("improve"), "sampled_problems": 0, **settings}
        settings.setdefault("promotion", environment.ratchet_promotion)
        terminal.row("run", f"{settings['run_id']}; go on with: ratchet improve --resume --run {settings['run_id']}")
        terminal.row("promotion", settings["promotion"])
    services = make_services(
        model or environment.ratchet_model,
        store=TraceStore(environment.trace_store),
        registry=Registry(environment.model_save_path),
        folder=environment.training_data_path,
    )
    figures = improve_shown(terminal, services, cast("ImprovementInput", settings), resume=resume, answer=answer)
    show_result(terminal, figures)
    if figures["waiting"]:
        _say_what_it_waits_for(terminal, figures)
    return figures


def _say_what_it_waits_for(terminal: Terminal, figures: dict[str, Any]) -> None:
    question = figures["question"]
    if question["error"]:
        terminal.row("not taken", question["error"], style="red")
    again = f"ratchet improve --resume --run {figures['run_id']}"
    terminal.row("waiting", f"{question['question']} {again} --approve (or --reject, or --more N)", style="bold")


def _status(figures: dict[str, Any]) -> ExitStatus:
    """Done if any round promoted; else what the last round's decision says, or failed if it came to none."""
    from langgraph_ratchet.core.decision import Verdict

    if any(line["promoted"] for line in figures["history"]):
        return ExitStatus.DONE
    decision = figures["decision"]
    return status_of(Verdict(decision)) if decision else ExitStatus.FAILED
