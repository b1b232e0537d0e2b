"""Tells people of a run while it goes on, one line for what each node did."""

from collections.abc import Callable, Mapping
from typing import Any

from langgraph_ratchet.cli.terminal import Terminal
from langgraph_ratchet.core.step import Approval
from langgraph_ratchet.core.visible import percent

_ADVICE = (
    "There is no terminal to ask on. --allow {} lets it act without asking, until the run has read other people's text."
)

Update = Mapping[str, Any]
"""What a node of the reasoning graph changed in its state."""


class Narration:
    """Prints the updates of one run as they come."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._several = False  # whether the last reply called more than one tool
        self._nodes: dict[str, Callable[[Update], None]] = {
            "recall": self._recall,
            "plan": self._plan,
            "select_strategy": self._strategy,
            "act": self._act,
            "tools": self._tools,
            "synthesize": self._answer,
            "self_check": self._check,
        }

    def tell(self, node: str, update: Update) -> None:
        """Prints what `node` did. A node that ended the run, or did nothing, has no line: the outcome is said last."""
        if node in self._nodes and not update.get("outcome"):
            self._nodes[node](update)

    def _recall(self, update: Update) -> None:
        for text in update.get("recalled", []):
            self._terminal.row("remembered", text, "dim")

    def _plan(self, update: Update) -> None:
        self._terminal.row("plan", "\n".join(f"{number}. {line}" for number, line in enumerate(update["plan"], 1)))

    def _strategy(self, update: Update) -> None:
        if update.get("strategy"):  # a revision keeps the one it has
            self._terminal.row("strategy", update["strategy"])

    def _act(self, update: Update) -> None:
        reply = update["transcript"][-1]
        if text := str(reply.text).strip():
            self._terminal.row("thought" if reply.tool_calls else "conclusion", text)
        self._several = len(reply.tool_calls) > 1
        for call in reply.tool_calls:
            self._terminal.row("call", call_text(call["name"], call["args"]), "cyan")

    def _tools(self, update: Update) -> None:
        for step in update["steps"]:
            named = f"{step['tool']}: " if self._several else ""
            label, style = ("failed", "yellow") if step["failed"] else ("result", "cyan")
            self._terminal.row(label, f"{named}{step['output'].removeprefix('error: ')}", style)
            if step["approval"] == Approval.REFUSED.value:
                self._terminal.row("", _ADVICE.format(step["tool"]), "yellow")

    def _answer(self, update: Update) -> None:
        self._terminal.row("answer", update["answer"])

    def _check(self, update: Update) -> None:
        if update.get("feedback"):
            self._terminal.row("check", update["feedback"].removeprefix("An earlier answer was "), "yellow")
        else:
            sure = update.get("confidence")
            self._terminal.row("check", "done" if sure is None else confidence_text(sure))


def call_text(tool: str, arguments: Mapping[str, Any]) -> str:
    """A tool call as one would write it: `clock(operation='add', start='2024-03-05')`."""
    return f"{tool}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def confidence_text(confidence: float | None) -> str:
    """The run's own probability that its answer is right."""
    return "not measured: the model gives no log-probabilities" if confidence is None else f"{percent(confidence)} sure"
