"""The verbs by name, and the one place where an error becomes one line and an exit status.

A `RatchetError` is one line on stderr; Ctrl-C says what is left; wrong usage is typer's own; anything else is a bug
and shows its traceback.
"""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.cli.printable import one_line
from langgraph_ratchet.core.errors import RatchetError

VERBS = {
    "demo": "The whole loop on the pocket model, in a scratch registry",
    "solve": "Reason about a question, shown node by node",
    "improve": "Practise, train, measure, and promote if it is better",
    "eval": "Measure a model on held-out problems",
    "serve": "Serve to OpenAI clients, or record what passes to a server",
    "mcp": "Offer reasoning, memory and traces to MCP clients",
    "traces": "List recorded runs, and show one in full",
    "models": "List model versions, and which one is champion",
    "rollback": "Return to the champion before the last promotion",
    "init": "Write langgraph.json and graphs/ of your own, for Studio",
    "doctor": "Say what is installed and works, and the fix for each lack",
}
"""Verb to one line of help. The verb's file has the same name, and its typer app is called `app`."""


class Verbs(TyperGroup):
    """Knows every verb's name and line of help, and imports only the verb that is run."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._resumable = False
        for name, line in VERBS.items():
            self.add_command(TyperCommand(name, help=line, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Puts the verb itself in the place of its line in the list."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = get_command(import_module(f"langgraph_ratchet.cli.{name}").app)
            self._resumable = any("--resume" in parameter.opts for parameter in command.params)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb, and says what went wrong if something did."""
        try:
            return super().invoke(ctx)
        except RatchetError as error:
            typer.echo(f"error: {one_line(str(error), limit=2_000)}", err=True)
            raise typer.Exit(ExitStatus.FAILED) from error
        except KeyboardInterrupt as stop:
            advice = " Go on with --resume" if self._resumable else ""
            typer.echo(f"\nstopped; nothing recorded is lost.{advice}", err=True)
            raise typer.Exit(ExitStatus.STOPPED) from stop


app = typer.Typer(
    cls=Verbs,
    help="A reasoning graph whose local model gets better, and never worse by luck.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 rejected by the gate, 4 not enough evidence, 130 stopped.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from langgraph_ratchet import __version__

        typer.echo(f"langgraph-ratchet {__version__}")
        raise typer.Exit


@app.callback()
def ratchet(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """See `app`'s help."""
