"""`ratchet improve`: practise, train, measure, and promote if it is better."""

from typing import Annotated, Any

import typer

from langgraph_ratchet.cli.exit_status import ExitStatus, status_of
from langgraph_ratchet.cli.terminal import open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb

app = new_verb()


@app.command()
def improve(
    model: Annotated[str | None, typer.Option(help="Base model, by name or path; default: the settings'.")] = None,
    suite: Annotated[str, typer.Option(help="Suite to measure on: a name or a TOML file.")] = "first_light",
    practice: Annotated[str, typer.Option(help="Suite to practise on.")] = "first_light_practice",
    samples: Annotated[int, typer.Option(min=1, help="Rollouts per practice problem.")] = 4,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of the rollouts.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of practice problems, rollouts and training.")] = 0,
    promotion: Annotated[
        str | None, typer.Option(help="ask, auto or never, when the gate says promote; default: the settings'.")
    ] = None,
    sampled: Annotated[int, typer.Option(min=0, help="Held-out problems to sample the champion on as well.")] = 0,
    run_id: Annotated[str | None, typer.Option("--run", help="Name of the run; needed to resume it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run of that name.")] = False,
    approve: Annotated[
        bool | None, typer.Option("--approve/--reject", help="The answer, when the run waits for approval.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One round of improvement; a candidate that the gate passes waits for approval, unless the settings differ."""
    from langgraph_ratchet.core.errors import BadInputError
    from langgraph_ratchet.core.ids import new_id

    if resume and run_id is None:
        raise BadInputError("--resume needs --run NAME: the name was printed when the run began")
    if promotion not in (None, "ask", "auto", "never"):
        raise BadInputError(f"--promotion is {promotion!r}; it takes ask, auto or never")
    run_id = run_id or new_id("improve")
    settings = {
        "run_id": run_id,
        "suite": suite,
        "practice": practice,
        "samples": samples,
        "temperature": temperature,
        "seed": seed,
        "sampled_problems": sampled,
    }
    with open_terminal(as_json) as terminal:
        figures = _run(terminal, model, settings, promotion, resume=resume, approval=approve)
        terminal.result(figures)
    if figures["decision"]:
        from langgraph_ratchet.core.decision import Verdict

        raise typer.Exit(status_of(Verdict(figures["decision"])))
    raise typer.Exit(ExitStatus.FAILED)


def _run(
    terminal: Any,
    model: str | None,
    settings: dict[str, Any],
    promotion: str | None,
    *,
    resume: bool,
    approval: bool | None,
) -> dict[str, Any]:
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.cli.loop_view import show_result
    from langgraph_ratchet.cli.rounds import improve_once
    from langgraph_ratchet.improvement.graph import make_services
    from langgraph_ratchet.registry import Registry
    from langgraph_ratchet.traces.store import TraceStore

    environment = read_settings()
    policy = promotion or environment.ratchet_promotion
    terminal.row("run", f"{settings['run_id']}; go on with: ratchet improve --resume --run {settings['run_id']}")
    terminal.row("promotion", policy)
    services = make_services(
        model or environment.ratchet_model,
        store=TraceStore(environment.trace_store),
        registry=Registry(environment.model_save_path),
        folder=environment.training_data_path,
    )
    settings = {**settings, "promotion": policy}
    figures = improve_once(terminal, services, settings, resume=resume, approval=approval)
    show_result(terminal, figures)
    if figures["waiting"]:
        terminal.row(
            "waiting",
            f"for approval: ratchet improve --resume --run {settings['run_id']} --approve (or --reject)",
            style="bold",
        )
    return figures
