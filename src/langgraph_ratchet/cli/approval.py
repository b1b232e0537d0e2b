"""Asks on the terminal whether a tool may act: approve it, edit its arguments, or reject it."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import orjson

from langgraph_ratchet.cli.narration import call_text
from langgraph_ratchet.cli.printable import printable
from langgraph_ratchet.cli.terminal import Terminal
from langgraph_ratchet.reasoning.attended import Decision, Proposal, approve, edit, reject

_CHOICES = {"approve": "a", "edit": "e", "reject": "r"}


def can_ask(terminal: Terminal) -> bool:
    """Whether somebody sees what is asked, and can type: not in a pipe or a job."""
    return sys.stdin.isatty() and terminal.console.is_terminal


def asker(terminal: Terminal, quiet: Callable[[], AbstractContextManager[None]]) -> Callable[[Proposal], Decision]:
    """A function that decides about tool calls by asking.

    Args:
        terminal: where to ask.
        quiet: what else is drawn there is not, within this context.
    """

    def decide(proposal: Proposal) -> Decision:
        with quiet():
            return _asked(terminal, proposal)

    return decide


def _asked(terminal: Terminal, proposal: Proposal) -> Decision:
    # All of it, however long: what is not shown would be approved unseen.
    terminal.row("approve?", call_text(proposal.name, proposal.args), "bold yellow", limit=None)
    if proposal.description:
        terminal.row("", proposal.description, "yellow")
    choices = {_CHOICES[name]: name for name in proposal.allowed if name in _CHOICES}
    listed = ", ".join(f"[{key}]{name[1:]}" for key, name in choices.items())
    while True:
        typed = _typed(terminal, f"{listed}? ")
        if typed is None:
            return reject("the user ended the input without an approval")
        match choices.get(typed.strip().lower()[:1]):
            case "approve":
                return approve()
            case "edit":
                return _edited(terminal, proposal)
            case "reject":
                reason = _typed(terminal, "why (the model is told)? ")
                return reject((reason or "").strip() or "the user rejected it")


def _edited(terminal: Terminal, proposal: Proposal) -> Decision:
    """The call with each argument as it is typed anew; an empty line keeps one."""
    args: dict[str, Any] = {}
    for name, value in proposal.args.items():
        while True:
            typed = _typed(terminal, f"{name} [{_shown(value)}]: ")
            if typed is None:
                return reject("the user ended the input without an approval")
            if not typed:
                args[name] = value
                break
            if isinstance(value, str):
                args[name] = typed
                break
            try:
                args[name] = orjson.loads(typed)
                break
            except orjson.JSONDecodeError as error:
                terminal.line(f"That is not JSON ({error}); the argument is a {type(value).__name__}.", "yellow")
    return edit(proposal, args)


def _shown(value: Any) -> str:
    return printable(value if isinstance(value, str) else orjson.dumps(value, default=str).decode(), limit=None)


def _typed(terminal: Terminal, prompt: str) -> str | None:
    """A line from the person; `None` when there is no more."""
    terminal.console.print(printable(prompt, limit=None), end="", style="bold", soft_wrap=True)
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None
