"""What a verb's file is made of: `app = new_verb()`, and a command on it with a `--json` flag.

Adding a verb: its file here, and its line in `app.VERBS`.
"""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]
"""The flag that every verb takes."""


def new_verb() -> typer.Typer:
    """A typer app with the settings that all verbs share: plain help, which needs no time to render."""
    return typer.Typer(
        add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
