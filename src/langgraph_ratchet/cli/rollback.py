"""`ratchet rollback`: return to the champion before."""

from typing import Annotated

import typer

from langgraph_ratchet.cli.models import said
from langgraph_ratchet.cli.terminal import open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb

app = new_verb()


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "ratchet rollback",
    as_json: AsJson = False,
) -> None:
    """Return to the champion before the last promotion. Nothing is deleted, and apps see it at their next call."""
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.registry import Registry

    with open_terminal(as_json) as terminal:
        registry = Registry(read_settings().model_save_path)
        registry.rollback(reason)
        change = registry.history()[-1]
        terminal.row("Champion", f"{said(change.previous)} → {said(change.version)}")
        terminal.result({"from": change.previous, "to": change.version, "reason": change.reason})
