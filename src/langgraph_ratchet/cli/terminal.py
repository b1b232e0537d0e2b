"""Where a verb writes: text for people, and with `--json` one object for programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from langgraph_ratchet.cli.printable import SHOWN_CHARS, printable

_LABEL_WIDTH = 11


class Terminal:
    """Text goes to `console`: stdout, or stderr when stdout is kept for the JSON object. Brackets are no markup there.

    Args:
        as_json: whether `--json` was given.
        stdout: where the JSON object goes.
    """

    def __init__(self, *, as_json: bool, stdout: TextIO) -> None:
        self.as_json = as_json
        self.console = Console(stderr=as_json, markup=False, highlight=False, emoji=False)
        self._stdout = stdout

    def row(self, label: str, text: str, style: str = "", *, limit: int | None = SHOWN_CHARS) -> None:
        """A line with its label in a column of its own; lines of one command are aligned.

        At most `limit` characters of `text` are shown (`None`: all).
        """
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=_LABEL_WIDTH, no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        grid.add_row(label, Text(printable(text, limit=limit), style=style))
        self.console.print(grid)

    def line(self, text: str, style: str = "dim") -> None:
        """A sentence of its own, which only the terminal wraps, so that a path in it can be copied."""
        self.console.print(Text(printable(text), style=style), soft_wrap=True)

    def blank(self) -> None:
        """An empty line."""
        self.console.print()

    def result(self, value: dict[str, Any]) -> None:
        """Prints the JSON object, if one is wanted. A verb calls it once, whatever it exits with."""
        if self.as_json:
            # As bytes: JSON is UTF-8, whatever the locale says.
            self._stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
            self._stdout.flush()


@contextmanager
def open_terminal(as_json: bool) -> Iterator[Terminal]:
    """A terminal; with `as_json`, what any library prints meanwhile goes to stderr too."""
    terminal = Terminal(as_json=as_json, stdout=sys.stdout)
    if as_json:
        with redirect_stdout(sys.stderr):
            yield terminal
    else:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter must not end a run
        yield terminal


def table(*columns: str, right: tuple[str, ...] = (), filling: tuple[str, ...] = ()) -> Table:
    """A table without lines; columns in `right` hold figures, those in `filling` share what width is left."""
    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=bool(filling))
    for name in columns:
        result.add_column(
            name,
            justify="right" if name in right else "left",
            ratio=1 if name in filling else None,
            no_wrap=True,
            overflow="ellipsis",
        )
    return result
