"""A tool that acts, behind `reason`: asked for by elicitation, else refused with the reason."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData
from tests.serving.mcp.sending import MAIL, Outbox

from langgraph_ratchet.serving.mcp import server as mcp_server
from langgraph_ratchet.serving.mcp.approval import decide

Make = Callable[..., Any]
Connect = Callable[..., Any]


async def _run(server: Any, connected: Connect, answer: Any = None) -> tuple[dict[str, Any], list[ElicitRequestParams]]:
    """What came of the tool call, and what the client was asked."""
    asked: list[ElicitRequestParams] = []

    async def elicit(_context: Any, params: ElicitRequestParams) -> Any:
        asked.append(params)
        return answer

    async with connected(server, **({"elicitation_callback": elicit} if answer is not None else {})) as client:
        done = await client.call_tool("reason", {"question": "Greet Ada."})
    (call,) = done.structuredContent["tool_calls"]
    return call, asked


async def test_a_client_that_cannot_ask_gets_the_reason(make_server: Make, connected: Connect, outbox: Outbox) -> None:
    async with connected(make_server(*MAIL)) as client:
        done = await client.call_tool("reason", {"question": "Greet Ada."})
    (call,) = done.structuredContent["tool_calls"]
    assert (call["failed"], call["approval"]) == (True, "refused")
    assert "send was not called: it needs an approval" in done.structuredContent["advice"]
    assert "--allow" in done.structuredContent["advice"]
    assert not outbox.sent


async def test_an_approved_call_is_made_once(make_server: Make, connected: Connect, outbox: Outbox) -> None:
    call, (asked,) = await _run(
        make_server(*MAIL), connected, ElicitResult(action="accept", content={"decision": "approve"})
    )
    assert outbox.sent == [("ada", "hi")]
    assert (call["failed"], call["output"], call["approval"]) == (False, "sent", "approved")
    assert "May send be called?" in asked.message
    assert '"to": "ada"' in asked.message
    assert set(asked.requestedSchema["properties"]["decision"]["enum"]) >= {"approve", "edit", "reject"}


async def test_edited_arguments_are_those_that_are_used(make_server: Make, connected: Connect, outbox: Outbox) -> None:
    content = {"decision": "edit", "arguments": json.dumps({"to": "bob", "text": "hello"})}
    await _run(make_server(*MAIL), connected, ElicitResult(action="accept", content=content))
    assert outbox.sent == [("bob", "hello")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ElicitResult(action="accept", content={"decision": "reject", "reason": "not now"}), "not now"),
        (ElicitResult(action="accept", content={"decision": "reject"}), "the user rejected it"),
        (ElicitResult(action="decline"), "the user did not approve it"),
        (ElicitResult(action="cancel"), "the user did not approve it"),
        (ElicitResult(action="decline", content={"decision": "approve"}), "the user did not approve it"),
        (ElicitResult(action="accept"), "the client's answer None is none of"),
        (ElicitResult(action="accept", content={"decision": "yes"}), "the client's answer 'yes' is none of"),
        (ElicitResult(action="accept", content={"decision": "edit"}), "no JSON object"),
        (ElicitResult(action="accept", content={"decision": "edit", "arguments": "[1]"}), "no JSON object"),
        (ErrorData(code=-1, message="no screen"), "could not ask whether send may be called: no screen"),
    ],
)
async def test_whatever_is_no_approval_is_a_rejection(
    make_server: Make, connected: Connect, outbox: Outbox, answer: Any, reason: str
) -> None:
    call, _ = await _run(make_server(*MAIL), connected, answer)
    assert call["failed"] is True
    assert reason in call["output"]
    assert not outbox.sent


async def test_nobody_answers(
    make_server: Make, connected: Connect, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_server, "decide", lambda *args: decide(*args, seconds=0.05))

    async def silent(_context: Any, _params: Any) -> Any:
        await asyncio.sleep(0.2)

    async with connected(make_server(*MAIL), elicitation_callback=silent) as client:
        done = await client.call_tool("reason", {"question": "Greet Ada."})
    (call,) = done.structuredContent["tool_calls"]
    assert "nobody answered within 0.05 s" in call["output"]
    assert not outbox.sent


async def test_an_allowed_tool_is_not_asked_for(make_server: Make, connected: Connect, outbox: Outbox) -> None:
    call, asked = await _run(make_server(*MAIL, allow=["send"]), connected, ElicitResult(action="decline"))
    assert not asked
    assert call["output"] == "sent"
    assert outbox.sent == [("ada", "hi")]
