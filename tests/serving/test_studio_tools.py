"""Tools in `langgraph dev`, driven as Studio drives them: pause before each call, edit it, approve it, reject it."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GIVEN = {"question": "Write two files."}
FURTHER = {"acting": Path(__file__).with_name("acting_graph.py")}
"""Graphs of the server beside the repository's: its model writes two files in one reply."""


@pytest.fixture(autouse=True)
def files(server: Any) -> Path:
    """Where the tool writes; empty."""
    folder = server.folder / ".ratchet" / "files"
    for path in folder.glob("*"):
        path.unlink()
    return folder


def written(files: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in files.glob("*")}


def waiting(server: Any, thread: str) -> list[dict[str, Any]]:
    """The calls that a run waits with for a decision."""
    tasks = server.client.threads.get_state(thread)["tasks"]
    return [call for task in tasks for asked in task["interrupts"] for call in asked["value"]["action_requests"]]


def decide(server: Any, thread: str, decision: dict[str, Any]) -> None:
    server.stream(thread, "acting", command={"resume": {"decisions": [decision]}})


def test_a_run_waits_with_each_call_that_writes(server: Any, files: Path) -> None:
    thread = server.thread()
    server.stream(thread, "acting", GIVEN)
    (asked,) = waiting(server, thread)
    assert (asked["name"], asked["args"]) == ("write_file", {"path": "one.txt", "text": "one"})
    assert asked["description"]
    assert not written(files)
    decide(server, thread, {"type": "approve"})
    assert written(files) == {"one.txt": "one"}
    (asked,) = waiting(server, thread)
    assert asked["args"]["path"] == "two.txt"
    edited = {"name": "write_file", "args": {"path": "three.txt", "text": "edited"}}
    decide(server, thread, {"type": "edit", "edited_action": edited})
    assert written(files) == {"one.txt": "one", "three.txt": "edited"}
    last = server.client.threads.get_state(thread)
    assert (last["next"], last["values"]["outcome"]) == ([], "answered")


def test_a_rejected_call_is_not_made_and_the_model_is_told(server: Any, files: Path) -> None:
    thread = server.thread()
    server.stream(thread, "acting", GIVEN)
    for _ in range(2):
        decide(server, thread, {"type": "reject", "message": "not today"})
    assert not written(files)
    steps = server.client.threads.get_state(thread)["values"]["steps"]
    assert [step["failed"] for step in steps] == [True, True]
    assert all("not today" in step["output"] for step in steps)


def test_a_run_pauses_before_each_call_and_takes_edited_arguments(server: Any, files: Path) -> None:
    thread = server.thread()
    server.stream(thread, "acting", GIVEN, interrupt_before=["tools"])
    state = server.client.threads.get_state(thread)
    assert state["next"] == ["tools"]
    assert not waiting(server, thread), "paused before the node, which has asked nothing yet"
    transcript = state["values"]["transcript"]
    transcript[-1]["tool_calls"][0]["args"]["text"] = "edited"
    server.client.threads.update_state(thread, {"transcript": transcript})
    server.stream(thread, "acting", interrupt_before=["tools"])
    (asked,) = waiting(server, thread)
    assert asked["args"] == {"path": "one.txt", "text": "edited"}
    server.stream(
        thread, "acting", command={"resume": {"decisions": [{"type": "approve"}]}}, interrupt_before=["tools"]
    )
    assert written(files) == {"one.txt": "edited"}
    paused = server.client.threads.get_state(thread)
    assert paused["next"] == ["tools"], "before the second call of the same reply"
    assert not waiting(server, thread)


def test_what_is_no_decision_makes_no_call(server: Any, files: Path) -> None:
    thread = server.thread()
    server.stream(thread, "acting", GIVEN)
    for answer in (
        "yes",
        {"decisions": []},
        {"decisions": [{"type": "sure"}]},
        {"decisions": [{"type": "approve"}] * 2},
    ):
        parts = server.client.runs.stream(thread, "acting", command={"resume": answer})
        events = [(part.event, part.data) for part in parts]
        assert not written(files), (answer, events)
