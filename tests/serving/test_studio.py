"""Both graphs in `langgraph dev`, driven as Studio drives them: stream, pause, edit, resume, time-travel, restart."""

import signal
from typing import Any

import pytest

from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GIVEN = {"question": "What is 45 + 33?"}


def updates(events: list[tuple[str, Any]]) -> dict[str, Any]:
    """What the nodes of a run left, by node."""
    return {node: update for event, data in events if event == "updates" for node, update in data.items()}


def checkpoint_before(server: Any, thread: str, node: str) -> Any:
    """The latest checkpoint of a thread from which `node` comes next."""
    return next(item for item in server.client.threads.get_history(thread, limit=50) if item["next"] == [node])


@pytest.mark.parametrize("graph", ["reasoning", "improvement"])
def test_a_graph_has_a_form_with_a_description_of_every_field(server: Any, graph: str) -> None:
    assistant = server.assistant(graph)
    assert server.client.assistants.get(assistant)["description"]
    schemas = server.client.assistants.get_schemas(assistant)
    fields = {**schemas["input_schema"]["properties"], **(schemas["context_schema"] or {}).get("properties", {})}
    assert {"reasoning": {"question", "model", "strategy"}, "improvement": {"suite", "seed"}}[graph] <= fields.keys()
    assert not [name for name, field in fields.items() if not field.get("description")]


def test_a_run_is_streamed_and_recorded(server: Any) -> None:
    thread = server.thread()
    events = server.stream(thread, "reasoning", GIVEN, stream_mode=["updates", "messages"])
    assert {"accept", "plan", "act", "synthesize", "self_check", "finish"} <= updates(events).keys()
    said = [data[0]["content"] for event, data in events if event == "messages/complete"]
    last = server.client.threads.get_state(thread)["values"]
    assert said[-1] == last["messages"][-1]["content"]
    store = TraceStore(f"sqlite:///{server.folder}/.ratchet/traces.db")
    trace = store.trace(last["trace_id"])
    assert (trace.question.text, trace.answer) == (GIVEN["question"], last["answer"])
    assert all(call.tokens for call in trace.calls)
    store.close()


def test_a_context_chooses_the_model_and_lowers_the_limits(server: Any) -> None:
    thread = server.thread()
    server.stream(thread, "reasoning", GIVEN, context={"model": "champion", "strategy": "direct", "calls": 2})
    last = server.client.threads.get_state(thread)["values"]
    assert (last["outcome"], last["strategy"], len(last["calls"])) == ("out_of_steps", "direct", 2)


def test_a_run_pauses_before_a_node_takes_an_edited_state_and_goes_on(server: Any) -> None:
    thread = server.thread()
    server.stream(thread, "reasoning", GIVEN, interrupt_before=["act"])
    assert server.client.threads.get_state(thread)["next"] == ["act"]
    server.client.threads.update_state(thread, {"plan": ["Calculate 45 + 33 with calculator."]})
    server.stream(thread, "reasoning")
    last = server.client.threads.get_state(thread)
    assert last["next"] == []
    assert last["values"]["outcome"] == "answered"
    assert last["values"]["plan"] == ["Calculate 45 + 33 with calculator."]
    messages = server.client.threads.get_history(thread)
    assert messages[0]["values"]["trace_id"] == messages[-3]["values"]["trace_id"]  # one run, not two


def test_a_run_is_taken_up_again_from_an_earlier_checkpoint(server: Any) -> None:
    thread = server.thread()
    server.stream(thread, "reasoning", GIVEN)
    first = server.client.threads.get_state(thread)
    before = checkpoint_before(server, thread, "finish")
    forked = server.client.threads.update_state(thread, {"answer": "seventy-eight"}, checkpoint=before["checkpoint"])
    server.stream(thread, "reasoning", checkpoint=forked["checkpoint"])
    last = server.client.threads.get_state(thread)
    assert last["values"]["messages"][-1]["content"] == "seventy-eight"
    assert last["values"]["plan"] == first["values"]["plan"]  # taken up, not begun again
    # The first branch is still there, whole.
    old = server.client.threads.get_state(thread, checkpoint=first["checkpoint"])
    assert old["values"]["answer"] == first["values"]["answer"]


def test_bad_input_is_said_in_studio_too(server: Any) -> None:
    parts = server.client.runs.stream(server.thread(), "reasoning", input={"question": " "})
    (error,) = [part.data for part in parts if part.event == "error"]
    assert error == {"error": "BadInputError", "message": "the question is empty: give its text"}


def test_a_round_is_approved_after_the_server_was_killed(server: Any) -> None:
    thread = server.thread()
    events = server.stream(thread, "improvement", server.round(), stream_mode=["updates", "custom"])
    phases = {data["phase"] for event, data in events if event == "custom"}
    assert {"diagnose", "roll_out", "train", "evaluate"} <= phases
    nodes = list(updates(events))
    assert nodes[0] == "diagnose"
    assert nodes[-1] == "remember"

    # Four problems prove nothing: back to where the gate had decided, and on as if it had found enough.
    before = checkpoint_before(server, thread, "approve")
    decision = before["values"]["decision"]
    assert decision["verdict"] != "promote"
    edited = {"decision": {**decision, "verdict": "promote"}}
    forked = server.client.threads.update_state(thread, edited, checkpoint=before["checkpoint"], as_node="gate")
    server.stream(thread, "improvement", checkpoint=forked["checkpoint"])
    waiting = server.client.threads.get_state(thread)
    assert waiting["next"] == ["approve"]
    (question,) = waiting["tasks"][0]["interrupts"]
    assert question["value"]["question"] == "Promote the candidate?"
    assert "verdict" in question["response_schema"]["properties"]
    registry = Registry(server.folder / ".ratchet" / "models")
    assert registry.champion is None

    server.stop(signal.SIGKILL)
    server.start()
    (found,) = [item for item in server.client.threads.search(limit=100) if item["thread_id"] == thread]
    assert found["metadata"]["graph_id"] == "improvement"
    again = server.client.threads.get_state(thread)
    assert again["values"] == waiting["values"]
    assert again["tasks"][0]["interrupts"] == [question]

    server.stream(thread, "improvement", command={"resume": {"verdict": "promote"}})
    assert server.client.threads.get_state(thread)["values"]["promoted"] is True
    champion = registry.champion
    assert champion is not None
    assert champion.id == decision["candidate"]


def test_the_server_reaches_for_nothing_outside_and_leaves_no_pickle(server: Any) -> None:
    server.stream(server.thread(), "reasoning", GIVEN)
    server.stop()
    log = server.log.read_text()
    assert not list(server.folder.rglob("*.pckl"))
    assert not server.reached.exists(), server.reached.read_text()
    assert not server.canary.asked
    assert "Blocking call" not in log
    assert "exceeded the expected startup time" not in log
    server.start()
