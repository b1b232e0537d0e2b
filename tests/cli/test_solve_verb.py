"""`ratchet solve`: what is said of a run, and what it refuses."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from typer.testing import Result

from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.tools.documents import documents_tool
from langgraph_ratchet.traces.store import TraceStore

Ratchet = Callable[..., Result]
Solve = Callable[..., str]
Capture = pytest.CaptureFixture[str]


def lines(text: str) -> list[tuple[str, str]]:
    """Label and rest of every line that is not empty."""
    return [(line[:11].strip(), line[12:].strip()) for line in text.splitlines() if line.strip()]


def test_every_node_is_told_in_order(solve: Solve, store: TraceStore, capsys: Capture) -> None:
    assert solve() == "answered"
    (trace,) = store.traces(limit=None)
    told = lines(capsys.readouterr().out)
    assert told[:11] == [
        ("question", "What date is 45 days after 2024-03-05?"),
        ("plan", "1. Shift the date with clock."),
        ("strategy", "direct"),
        ("call", "clock(operation='add', start='2024-03-05', value='45 days')"),
        ("result", "2024-04-19"),
        ("conclusion", "The date is 2024-04-19."),
        ("answer", "2024-04-19"),
        ("check", "done"),
        ("Answer", "2024-04-19"),
        ("Confidence", "not measured: the model gives no log-probabilities"),
        ("Outcome", "answered"),
    ]
    assert told[11][1].endswith("6 calls of the model, 1 tool call, 270 tokens")
    assert told[12] == ("Trace", f"ratchet traces show {trace.id[:14]}")


def test_a_rejected_answer_and_failing_tools_are_told(solve: Solve, capsys: Capture) -> None:
    two_calls = [{"name": "calculator", "args": {"expression": text}, "id": text} for text in ("1 + 1", "1 / 0")]
    solve(
        *("1. Add.", "direct", "It is 3.", "3", "no, nothing was added", "1. Add with calculator."),
        *(AIMessage("I need two.", tool_calls=two_calls), "It is 2.", "2", "yes"),
    )
    told = lines(capsys.readouterr().out)
    assert ("check", "rejected: 3 (no, nothing was added)") in told or (
        "check",
        "rejected: 3 (nothing was added)",
    ) in told
    assert told[told.index(("thought", "I need two.")) + 3 :][:2] == [
        ("result", "calculator: 2"),
        ("failed", "calculator: division by zero"),
    ]
    assert ("Answer", "2") in told


def test_without_stream_only_the_result_is_told(solve: Solve, capsys: Capture) -> None:
    solve(stream=False)
    assert [label for label, _ in lines(capsys.readouterr().out)] == [
        "Answer",
        "Confidence",
        "Outcome",
        "Took",
        "Trace",
    ]


def test_a_run_without_an_answer_says_why(solve: Solve, capsys: Capture) -> None:
    assert solve("1. Add.", "direct", RuntimeError("the connection broke")) == "model_failed"
    told = dict(lines(capsys.readouterr().out))
    assert "Answer" not in told
    assert told["Outcome"] == "model failed: the chat model failed in act: RuntimeError: the connection broke"


def test_json_is_one_object_whatever_else_is_printed(solve: Solve, store: TraceStore, capsys: Capture) -> None:
    @tool
    def loud(text: str) -> str:
        """Shouts."""
        print("A LIBRARY THAT PRINTS")
        return text.upper()

    call = AIMessage("", tool_calls=[{"name": "loud", "args": {"text": "größe"}, "id": "1"}])
    solve(
        "1. Shout.", "direct", call, "Done.", "GRÖSSE", "yes", tools=[loud], allow=["loud"], as_json=True, stream=True
    )
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    (trace,) = store.traces(limit=None)
    assert result["answer"] == "GRÖSSE"
    assert result["outcome"] == "answered"
    assert result["confidence"] is None
    assert (result["trace_id"], result["recorded"], result["calls"]) == (trace.id, True, 6)
    assert result["plan"] == ["Shout."]
    assert [step["output"] for step in result["steps"]] == ["GRÖSSE"]
    assert "A LIBRARY THAT PRINTS" in captured.err
    assert ("strategy", "direct") in lines(captured.err)


def test_what_a_document_holds_is_shown_and_not_obeyed(solve: Solve, folder: Path, capsys: Capture) -> None:
    (folder / "docs").mkdir()
    (folder / "docs" / "a.txt").write_text("Borel \x1b[2J\x1b]0;owned\x07 [bold red]markup[/bold red] [/] :smile:")
    call = AIMessage("", tool_calls=[{"name": "documents", "args": {"query": "Borel"}, "id": "1"}])
    solve("1. Look.", "direct", call, "Seen.", "Borel", "yes", tools=[documents_tool(folder / "docs")])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert ("result", "Borel \\x1b[2J\\x1b]0;owned\\x07 [bold red]markup[/bold red] [/] :smile:") in lines(out)


def test_a_run_that_cannot_be_recorded_is_still_answered(solve: Solve, folder: Path, capsys: Capture) -> None:
    (folder / "file").write_text("not a folder")
    assert solve(store=TraceStore("sqlite:///file/traces.db")) == "answered"
    told = dict(lines(capsys.readouterr().out))
    assert told["Answer"] == "2024-04-19"
    assert told["Trace"] == "not recorded"
    assert "Took" not in told


def test_an_interrupted_run_keeps_its_calls(solve: Solve, store: TraceStore, ratchet: Ratchet) -> None:
    class Interrupting(AIMessage):
        def model_copy(self, **kwargs: Any) -> AIMessage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve("1. Shift the date.", "direct", Interrupting("never said"))
    (run,) = store.open_runs()
    assert [call.node for call in store.calls(run.id)] == ["plan", "select_strategy"]
    assert f"1 run still going or interrupted, the last: {run.id[:14]}" in ratchet("traces", "ls").stdout
    shown = ratchet("traces", "show", run.id[:14])
    assert shown.exit_code == ExitStatus.FAILED
    assert "the run is still going or was interrupted (2 calls recorded)" in shown.stderr


@pytest.mark.slow
def test_ctrl_c_while_the_model_is_asked(tiny_model: Path, store: TraceStore) -> None:
    code = "from langgraph_ratchet.cli import main; main()"
    command = [sys.executable, "-c", code, "solve", "What is 1 + 1?", "--model", f"local:{tiny_model}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert any(line.startswith("plan") for line in child.stdout)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == ExitStatus.STOPPED
    assert said.splitlines()[-1] == "stopped; nothing recorded is lost."
    assert "Traceback" not in said
    (run,) = store.open_runs()
    assert store.calls(run.id)[0].node == "plan"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "the question is empty"),
        ([" \n\t"], "the question is empty"),
        (["-"], "the question is empty"),
        (["q", "--strategy", "guess"], "unknown strategy 'guess'; known: abductive, analogical, causal, "),
        (["q", "--tools", "calculator,hammer"], "unknown tool 'hammer'; known: calculator, clock, documents"),
        (["q", "--documents", "nowhere"], "no folder nowhere"),
        (["q", "--model", "no-such-model"], "unknown model 'no-such-model'; known: "),
        (["q", "--model", "local:nowhere"], "unknown model 'local:nowhere'; known: "),
    ],
)
def test_what_cannot_be_used_is_one_line(ratchet: Ratchet, folder: Path, arguments: list[str], message: str) -> None:
    done = ratchet("solve", *arguments)
    assert done.exit_code == ExitStatus.FAILED
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (folder / ".ratchet").exists()


def test_a_local_model_answers_or_says_why_not(ratchet: Ratchet, tiny_model: Path, store: TraceStore) -> None:
    done = ratchet("solve", "-", "--model", f"local:{tiny_model}", "--seed", "1", "--json", stdin="What is 1 + 1?\n")
    result = json.loads(done.stdout)
    assert done.exit_code == (0 if result["outcome"] == "answered" else 1)
    assert result["question"] == "What is 1 + 1?"
    trace = store.trace(result["trace_id"])
    assert trace.outcome == result["outcome"]
    replied = [call for call in trace.calls if call.error is None]  # what it says may grow beyond what it can read
    assert replied
    assert all(call.exact and call.sampling.seed is not None for call in replied)


def test_an_unknown_adapter_is_one_line(ratchet: Ratchet, tiny_model: Path) -> None:
    done = ratchet("solve", "q", "--model", f"local:{tiny_model}@v_nothing")
    assert done.exit_code == ExitStatus.FAILED
    assert "v_nothing" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_lone_surrogate_on_the_command_line(ratchet: Ratchet, tiny_model: Path) -> None:
    # How Python hands over the bytes b"caf\xe9?" when the locale is UTF-8.
    done = ratchet("solve", "caf\udce9?", "--model", f"local:{tiny_model}", "--json")
    assert json.loads(done.stdout)["question"] == "caf\ufffd?"


def test_a_megabyte_is_refused(ratchet: Ratchet, tiny_model: Path) -> None:
    done = ratchet("solve", "-", "--model", f"local:{tiny_model}", stdin="why " * 250_000)
    assert done.exit_code == ExitStatus.FAILED
    assert done.stderr.startswith("error: the question has 999,999 characters")
    assert len(done.stderr) < 400
