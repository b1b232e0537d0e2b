"""`ratchet solve` and tools that act: asked for on the terminal; where there is none, refused with the reason."""

import os
from collections.abc import Callable, Iterator

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool
from typer.testing import Result

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import Effect, ToolSpec
from langgraph_ratchet.traces.store import TraceStore

Solve = Callable[..., str]
Capture = pytest.CaptureFixture[str]
Typed = Callable[[str], None]
CALL = AIMessage("", tool_calls=[{"name": "send", "args": {"to": "ada", "copies": 2}, "id": "1"}])
MAIL = ("1. Send it.", "direct", CALL, "Done.", "done", "yes")


class Outbox:
    """A tool that sends, and what it has sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def tool(self) -> BaseTool:
        def send(to: str, copies: int) -> str:
            """Send a message."""
            self.sent.append((to, copies))
            return "sent"

        spec = ToolSpec(effects=frozenset({Effect.WRITES}), timeout_s=5, output_cap=100, trust=Trust.OWN)
        return StructuredTool.from_function(send, metadata=spec.metadata())


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    """A terminal at which somebody has typed a text already."""
    screen, keyboard = os.openpty()
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    with os.fdopen(keyboard) as stdin, os.fdopen(screen, "w") as person:
        monkeypatch.setattr("sys.stdin", stdin)

        def type_(text: str) -> None:
            person.write(text)
            person.flush()

        yield type_


def test_an_approved_call_is_made_once(solve: Solve, outbox: Outbox, typed: Typed, capsys: Capture) -> None:
    typed("what?\na\n")
    assert solve(*MAIL, tools=[outbox.tool()]) == "answered"
    assert outbox.sent == [("ada", 2)]
    out = capsys.readouterr().out
    assert "approve?    send(to='ada', copies=2)" in out
    assert out.count("[a]pprove, [e]dit, [r]eject?") == 2


def test_arguments_are_edited_one_by_one(solve: Solve, outbox: Outbox, typed: Typed, capsys: Capture) -> None:
    typed("e\nbob\nthree\n3\n")
    solve(*MAIL, tools=[outbox.tool()])
    assert outbox.sent == [("bob", 3)]
    out = capsys.readouterr().out
    assert "to [ada]: " in out
    assert "copies [2]: " in out
    assert "That is not JSON" in out


def test_an_empty_line_keeps_an_argument(solve: Solve, outbox: Outbox, typed: Typed) -> None:
    typed("e\n\n5\n")
    solve(*MAIL, tools=[outbox.tool()])
    assert outbox.sent == [("ada", 5)]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("r\nnot today\n", "not today"),
        ("r\n\n", "the user rejected it"),
        ("\x04", "ended the input"),
        ("e\n\x04", "ended"),
    ],
)
def test_a_rejected_call_is_not_made(
    solve: Solve, outbox: Outbox, typed: Typed, store: TraceStore, keys: str, reason: str
) -> None:
    typed(keys)
    assert solve(*MAIL, tools=[outbox.tool()]) == "answered"
    assert not outbox.sent
    (trace,) = store.traces(limit=None)
    (step,) = store.trace(trace.id).steps
    assert step.failed
    assert reason in (step.output or "")


def test_all_of_a_call_is_shown_and_nothing_of_it_is_obeyed(
    solve: Solve, outbox: Outbox, typed: Typed, capsys: Capture
) -> None:
    args = {"to": "ada\x1b[2J\u202e" + "x" * 5_000 + "END", "copies": 1}
    call = AIMessage("", tool_calls=[{"name": "send", "args": args, "id": "1"}])
    typed("r\n\n")
    solve("1. Send it.", "direct", call, "Done.", "done", "yes", tools=[outbox.tool()])
    out = capsys.readouterr().out
    asked = out.partition("approve?")[2].partition("[a]pprove")[0]
    assert "".join(asked.split()).startswith("send(to='ada\\x1b[2J\\u202e" + "x" * 5_000 + "END',copies=1)")
    assert "\x1b[2J" not in out
    assert "\u202e" not in out


def test_where_nobody_can_be_asked_the_call_is_refused(solve: Solve, outbox: Outbox, capsys: Capture) -> None:
    assert solve(*MAIL, tools=[outbox.tool()]) == "answered"
    assert not outbox.sent
    out = " ".join(capsys.readouterr().out.split())
    assert "send was not called: it needs an approval" in out
    assert "There is no terminal to ask on. --allow send lets it act" in out


def test_an_allowed_tool_is_not_asked_for(solve: Solve, outbox: Outbox) -> None:
    solve(*MAIL, tools=[outbox.tool()], allow=["send"])
    assert outbox.sent == [("ada", 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--allow", "write_file"],
            "--allow names write_file, which this run does not have; its tools: calculator",
        ),
        (["--tools", "mcp:"], "mcp: names no file: give mcp:FILE"),
        (["--tools", "hammer"], "unknown tool 'hammer'; known: calculator"),
    ],
)
def test_what_cannot_be_used_is_one_line(ratchet: Callable[..., Result], arguments: list[str], message: str) -> None:
    done = ratchet("solve", "q", *arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
