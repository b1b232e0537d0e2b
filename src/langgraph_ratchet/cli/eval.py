"""`ratchet eval`: measure a model on held-out problems."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb

if TYPE_CHECKING:
    from langgraph_ratchet.core.report import Report

app = new_verb()


@app.command("eval")
def eval_(
    model: Annotated[
        str | None, typer.Option(help="pocket, local:PATH, hf:ID, each with @ADAPTER; default: the settings'.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Suite to measure on: a name or a TOML file.")] = "first_light",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    samples: Annotated[int, typer.Option(min=1, help="Runs per problem; more than one needs a temperature.")] = 1,
    seed: Annotated[int, typer.Option(help="Of sampling.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Accuracy by type and level, with intervals. Runs that were recorded before are not run again."""
    from langgraph_ratchet.core.errors import BadInputError

    if samples > 1 and temperature == 0:
        raise BadInputError(f"--samples is {samples} at temperature 0, where all runs are equal: give --temperature 1")
    with open_terminal(as_json) as terminal:
        terminal.result(_measure(terminal, model, suite, temperature, samples, seed))


def _measure(
    terminal: Terminal, model: str | None, suite_name: str, temperature: float, samples: int, seed: int
) -> dict[str, Any]:
    from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
    from langgraph_ratchet.chat_models.resolver import resolve_model
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.cli.loop_view import loop_view
    from langgraph_ratchet.evaluation.runner import Measurement, measure, report
    from langgraph_ratchet.evaluation.sampled import sampled_accuracy
    from langgraph_ratchet.problems.generate import generate
    from langgraph_ratchet.problems.suites import load_suite
    from langgraph_ratchet.reasoning.budgets import UNTIMED
    from langgraph_ratchet.reasoning.graph import create_reasoner
    from langgraph_ratchet.tools import get_tools
    from langgraph_ratchet.traces.store import TraceStore

    environment = read_settings()
    name = model or environment.ratchet_model
    chat = resolve_model(name)
    store = TraceStore(environment.trace_store)
    suite = load_suite(suite_name)
    measurement = Measurement(
        label="eval",
        suite_hash=suite.hash,
        model=name,
        base_hash=chat.base.fingerprint.base if isinstance(chat, ChatTransformers) else None,
        model_version=chat.adapter_version if isinstance(chat, ChatTransformers) else None,
        temperature=temperature,
        seed=seed,
        samples=samples,
    )
    reasoner = create_reasoner(chat, get_tools(), store=store, budgets=UNTIMED).compile()
    with loop_view(terminal) as view:
        graded = measure(
            reasoner,
            store,
            generate(suite),
            measurement,
            on_progress=lambda progress: view.event("custom", progress.model_dump(exclude_none=True)),
        )
    measured = report(graded, measurement)
    figures: dict[str, Any] = {"suite": suite.name, "suite_hash": suite.hash, "model": name, **figures_of(measured)}
    if samples > 1:
        figures["sampled"] = sampled_accuracy(graded, temperature=temperature).model_dump(mode="json")
    _show(terminal, figures)
    return figures


def figures_of(measured: "Report") -> dict[str, Any]:
    """A report's accuracies, lenient and strict, by type and level, and its cost per problem."""
    from langgraph_ratchet.improvement.summary import accuracy_figures

    return {
        "model_version": measured.model_version,
        "temperature": measured.temperature,
        "accuracy": accuracy_figures(measured.accuracy()),
        "strict": accuracy_figures(measured.accuracy(strict=True)),
        "by_type": {kind.value: accuracy_figures(value) for kind, value in measured.by_type.items()},
        "by_level": [
            {"family": family, "level": level, **accuracy_figures(value)}
            for (family, level), value in measured.by_level.items()
        ],
        "cost": measured.means,
    }


def _show(terminal: Terminal, figures: dict[str, Any]) -> None:
    from langgraph_ratchet.cli.terminal import table
    from langgraph_ratchet.core.visible import percent

    rows = table(figures["suite"], "accuracy", "95 % interval", "runs", right=("accuracy", "runs"))

    def add(label: str, figure: dict[str, Any]) -> None:
        interval = f"{100 * figure['low']:.0f}–{100 * figure['high']:.0f}"
        rows.add_row(label, percent(figure["value"]), interval, str(figure["n"]))

    add("all", figures["accuracy"])
    add("all, strictly read", figures["strict"])
    for kind, figure in figures["by_type"].items():
        add(f"  {kind}", figure)
    for level in figures["by_level"]:
        add(f"    {level['family']}, level {level['level']}", level)
    terminal.console.print(rows)
    if sampled := figures.get("sampled"):
        majority, best = sampled["majority"], sampled["pass_at_k"]
        terminal.row(
            f"of {sampled['samples']}",
            f"pass {best['correct']}/{best['n']}, majority {majority['correct']}/{majority['n']}",
        )
