"""`ratchet traces ls` and `show`, over runs that the real graph recorded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.core.call import CallKey
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.traces.store import TraceStore

Ratchet = Callable[..., Result]


@pytest.fixture
def traces(solve: Callable[..., str], store: TraceStore) -> list[Trace]:
    """A run with a right answer, and then one whose model failed."""
    solve()
    solve("1. Add.", RuntimeError("away"), question="What is 1 + 1?")
    found = [store.trace(summary.id) for summary in store.traces(limit=None, newest_first=False)]
    grade = Grade(trace_id=found[0].id, grader="datetime@1", score=1.0, strict=True, lenient=True, reason="same date")
    store.add_grade(grade)
    return found


def test_nothing_is_recorded_and_nothing_is_made(ratchet: Ratchet, folder: Path) -> None:
    done = ratchet("traces", "ls")
    assert done.exit_code == 0
    assert "No runs of this kind are recorded" in done.stdout
    assert json.loads(ratchet("traces", "ls", "--json").stdout) == {"traces": [], "unfinished": []}
    assert not (folder / ".ratchet").exists()


def test_ls_lists_the_newest_first(ratchet: Ratchet, traces: list[Trace]) -> None:
    first, second = traces
    listed = ratchet("traces", "ls").stdout.splitlines()
    assert listed[0].split() == ["trace", "when", "outcome", "grade", "question", "answer"]
    assert listed[1].startswith(second.id[:14])
    assert "model failed" in listed[1]
    assert listed[2].startswith(first.id[:14])
    assert listed[2].rstrip().endswith("2024-04-19")
    assert "right" in listed[2]


def test_text_of_others_is_listed_as_it_is(ratchet: Ratchet, solve: Callable[..., str]) -> None:
    solve(question="[bold]Who?[/bold] \x1b[2J :smile:\nWhen?")
    assert "[bold]Who?[/bold] \\x1b[2J :smile: When?" in ratchet("traces", "ls").stdout


def test_ls_as_json_and_filtered(ratchet: Ratchet, traces: list[Trace]) -> None:
    first, second = traces
    result = json.loads(ratchet("traces", "ls", "--json").stdout)
    assert [item["id"] for item in result["traces"]] == [second.id, first.id]
    assert [grade["score"] for grade in result["traces"][1]["grades"]] == [1.0]
    assert result["traces"][0]["grades"] == []
    filtered = json.loads(ratchet("traces", "ls", "--json", "--outcome", "answered").stdout)
    assert [item["id"] for item in filtered["traces"]] == [first.id]
    limited = json.loads(ratchet("traces", "ls", "--json", "--limit", "1").stdout)
    assert [item["id"] for item in limited["traces"]] == [second.id]


def test_json_is_all_of_stdout_and_the_text_is_on_stderr(ratchet: Ratchet, traces: list[Trace]) -> None:
    done = ratchet("traces", "show", traces[0].id, "--json")
    assert Trace.model_validate(json.loads(done.stdout)["trace"]) == traces[0]
    assert "Shift the date with clock." in done.stderr


def test_show_tells_all_of_a_run(ratchet: Ratchet, traces: list[Trace]) -> None:
    shown = ratchet("traces", "show", traces[0].id[:12]).stdout
    for text in (
        traces[0].id,
        "What date is 45 days after 2024-03-05?",
        "1. Shift the date with clock.",
        "clock(operation='add', start='2024-03-05', value='45 days')",
        "= 2024-04-19",
        "calls clock",
        "The date is 2024-04-19.",
        "6 calls of the model, 1 tool call, 270 tokens",
        "right (datetime@1: same date)",
    ):
        assert text in shown, text
    nodes = [line.split()[1] for line in shown.splitlines() if line[:1].isdigit()]
    assert nodes == ["plan", "select_strategy", "act", "act", "synthesize", "self_check"]


def test_show_tells_why_there_is_no_answer(ratchet: Ratchet, traces: list[Trace]) -> None:
    shown = ratchet("traces", "show", traces[1].id).stdout
    assert "Answer" not in shown
    assert "model failed: the chat model failed in select_strategy: RuntimeError: away" in " ".join(shown.split())
    assert "failed: RuntimeError: away" in shown
    assert "none: nothing has judged this run" in shown


def test_show_says_what_was_superseded(ratchet: Ratchet, traces: list[Trace], store: TraceStore) -> None:
    call = traces[0].calls[0]
    late = call.model_copy(update={"id": "call_late", "key": CallKey(run_id=traces[0].id, task_id="killed", index=0)})
    store.add_call(late)
    done = ratchet("traces", "show", traces[0].id)
    assert "1 call superseded" in done.stdout
    result = json.loads(ratchet("traces", "show", traces[0].id, "--json").stdout)
    assert [call["id"] for call in result["superseded"]] == ["call_late"]
    assert len(result["trace"]["calls"]) == 6


@pytest.mark.parametrize("name", ["trace_nothing", "", "trace_"])
def test_a_trace_that_is_not_one(ratchet: Ratchet, traces: list[Trace], name: str) -> None:
    done = ratchet("traces", "show", name)
    assert done.exit_code == ExitStatus.FAILED
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: unknown trace {name!r}; known: ")
    assert traces[0].id in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_grade_that_is_wrong_or_missing(ratchet: Ratchet, traces: list[Trace], store: TraceStore) -> None:
    unsure = Grade(trace_id=traces[1].id, grader="number@1", score=None, strict=None, lenient=None, reason="late")
    store.add_grade(unsure)
    assert "could not be judged (number@1: late)" in ratchet("traces", "show", traces[1].id).stdout
    wrong = Grade(trace_id=traces[0].id, grader="exact@1", score=0.0, strict=False, lenient=False, reason="differs")
    store.add_grade(wrong)
    assert "wrong (exact@1: differs)" in ratchet("traces", "show", traces[0].id).stdout
    assert "wrong" in ratchet("traces", "ls").stdout.splitlines()[2]


def test_a_file_that_is_no_store_is_one_line(ratchet: Ratchet, folder: Path) -> None:
    (folder / ".ratchet").mkdir()
    (folder / ".ratchet" / "traces.db").write_bytes(b"no database" * 100)
    done = ratchet("traces", "ls")
    assert done.exit_code == ExitStatus.FAILED
    assert done.stderr.startswith("error: trace store ")
    assert done.stderr.count("\n") == 1
