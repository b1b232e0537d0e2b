"""The tools of the MCP server, as a client sees them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from langchain_core.messages import AIMessage
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    CancelledNotification,
    CancelledNotificationParams,
    ClientNotification,
    ClientRequest,
)
from tests.serving.mcp.sending import text_of

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.serving.mcp.offer import Arguments, Offer, Result
from langgraph_ratchet.serving.mcp.reason import Runs, reason_offer
from langgraph_ratchet.serving.mcp.server import create_mcp_server
from langgraph_ratchet.traces.store import TraceStore

Make = Callable[..., Any]
Connect = Callable[..., Any]


async def test_every_tool_has_a_schema_that_describes_it(make_server: Make, connected: Connect) -> None:
    async with connected(make_server()) as client:
        found = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(found) == {"reason", "traces"}
    for tool in found.values():
        jsonschema_rs.validator_for(tool.inputSchema)
        jsonschema_rs.validator_for(tool.outputSchema)
        assert all(field.get("description") for field in tool.inputSchema["properties"].values())
        assert tool.inputSchema["additionalProperties"] is False
    assert found["traces"].annotations.readOnlyHint is True
    assert found["reason"].annotations.readOnlyHint is False


async def test_reason_gives_answer_and_trace(make_server: Make, connected: Connect, store: TraceStore) -> None:
    told: list[tuple[float, str | None]] = []

    async def progress(done: float, _total: float | None, message: str | None) -> None:
        told.append((done, message))

    asked = {"question": "What weekday is 2024-03-05?", "context": "A date."}
    async with connected(make_server()) as client:
        done = await client.call_tool("reason", asked, progress_callback=progress)
        await asyncio.sleep(0)
    assert done.isError is False
    said = done.structuredContent
    assert json.loads(text_of(done)) == said
    assert (said["answer"], said["confidence"], said["outcome"], said["error"]) == ("Tuesday", None, "answered", None)
    assert said["tool_calls"] == [
        {"tool": "clock", "failed": False, "approval": None, "output": "Tuesday", "untrusted": False}
    ]
    assert said["advice"] is None
    trace = store.trace(said["trace_id"])
    assert (trace.question.text, trace.question.context, trace.answer) == (*asked.values(), "Tuesday")
    assert [number for number, _ in told] == list(range(1, len(told) + 1))
    messages = [message for _, message in told]
    assert messages[0] == "accept"
    assert {"plan: Ask clock.", "tools: clock gave a result", "synthesize: Tuesday"} <= set(messages)


async def test_a_run_without_an_answer_is_an_error_that_says_why(make_server: Make, connected: Connect) -> None:
    async with connected(make_server("1. Ask.", "direct", RuntimeError("the connection broke"))) as client:
        done = await client.call_tool("reason", {"question": "q"})
    assert done.isError is True
    assert done.structuredContent["outcome"] == "model_failed"
    trace = done.structuredContent["trace_id"]
    assert text_of(done) == (
        f"No answer (model failed): the chat model failed in act: RuntimeError: the connection broke. Trace: {trace}"
    )


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("reason", {}, "bad arguments for reason: question: Field required"),
        ("reason", {"question": ""}, "bad arguments for reason: question: String should have at least 1 character"),
        ("reason", {"question": 7}, "bad arguments for reason: question: Input should be a valid string"),
        ("reason", {"question": "q", "model": "x"}, "bad arguments for reason: model: Extra inputs are not permitted"),
        ("reason", {"question": "q", "strategy": "guess"}, "unknown strategy 'guess'; known: abductive"),
        ("reason", {"question": "why " * 30_000}, "the question has 120,000 characters with its context"),
        ("reason", {"question": " "}, "the question is empty"),
        ("traces", {"trace_id": "trace_no"}, "unknown trace 'trace_no'"),
        ("traces", {"trace_id": " "}, "the trace id is empty"),
        ("traces", {"limit": 1_000}, "bad arguments for traces: limit: Input should be less than or equal to 100"),
        ("traces", {"outcome": "won"}, "bad arguments for traces: outcome: Input should be 'answered'"),
        ("hammer", {}, "there is no tool called 'hammer'; tools: reason, traces"),
    ],
)
async def test_what_cannot_be_used_is_an_error_of_the_tool(
    make_server: Make, connected: Connect, tool: str, arguments: dict[str, Any], message: str
) -> None:
    async with connected(make_server()) as client:
        done = await _called(client, tool, arguments)
        assert done.isError is True
        assert text_of(done).startswith(message)
        assert (await client.call_tool("traces", {})).isError is False, "the server goes on"


async def _called(client: Any, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """Without the client's own check of the result, which asks for the list of tools first."""
    request = ClientRequest(CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments)))
    result: CallToolResult = await client.send_request(request, CallToolResult)
    return result


async def test_a_bug_is_told_without_what_it_says(connected: Connect, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_asked: Arguments, _caller: Any) -> Result:
        raise KeyError("a path of the server's machine")

    offer = Offer("broken", "Breaks.", Arguments, Result, broken, reads_only=True, closed=True)
    async with connected(create_mcp_server([offer])) as client:
        done = await client.call_tool("broken", {})
    assert done.isError is True
    assert text_of(done) == "broken failed as nobody foresaw (KeyError): see the server's log"
    assert "a path of the server's machine" in caplog.text


async def test_traces_lists_and_shows(make_server: Make, connected: Connect, store: TraceStore) -> None:
    async with connected(make_server()) as client:
        ran = (await client.call_tool("reason", {"question": "x" * 300})).structuredContent
        (listed,) = (await client.call_tool("traces", {})).structuredContent["traces"]
        assert (listed["id"], listed["outcome"], listed["answer"]) == (ran["trace_id"], "answered", "Tuesday")
        assert listed["question"] == "x" * 200 + "… [100 characters more]"
        none = await client.call_tool("traces", {"outcome": Outcome.MODEL_FAILED.value})
        assert none.structuredContent["traces"] == []
        shown = (await client.call_tool("traces", {"trace_id": ran["trace_id"][:14]})).structuredContent["trace"]
    trace = store.trace(ran["trace_id"])
    assert shown["question"] == trace.question.text
    assert shown["plan"] == ["Ask clock."]
    assert (shown["steps"][0]["tool"], shown["steps"][0]["output"], shown["calls"]) == ("clock", "Tuesday", 6)


async def test_a_call_that_is_cancelled_stops_its_run_and_makes_room(connected: Connect) -> None:
    asked = asyncio.Event()

    class Slow(PolicyChatModel):
        async def _agenerate(self, *_args: Any, **_kwargs: Any) -> Any:
            asked.set()
            await asyncio.sleep(60)

    runs = Runs(lambda: create_reasoner(Slow(policy=lambda *_: AIMessage("")), store=None), running=1, waiting=1)
    async with connected(create_mcp_server([reason_offer(runs)])) as client:
        calls = [asyncio.ensure_future(_called(client, "reason", {"question": "q"})) for _ in range(2)]
        await asked.wait()
        refused = await client.call_tool("reason", {"question": "q"})
        assert text_of(refused) == "2 runs go on or wait, which is as many as may: ask again later"
        for request in (1, 2):  # after `initialize`, which is 0
            cancelled = CancelledNotificationParams(requestId=request)
            await client.send_notification(ClientNotification(CancelledNotification(params=cancelled)))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(error) for error in ended] == ["Request cancelled"] * 2
        while runs.taken:  # noqa: ASYNC110  # the answers go out before the runs are cleaned away
            await asyncio.sleep(0)
        assert not runs._saver.storage
