"""Asks the person behind an MCP client whether a tool may act: by elicitation, where the client offers it.

Whatever is not clearly an approval is a rejection: a client that declines or fails, an answer that cannot be read, no
answer in time.
"""

import asyncio
from typing import Any

import orjson
from mcp import McpError
from mcp.server.session import ServerSession
from mcp.types import ElicitResult, RequestId

from langgraph_ratchet.core.visible import visible
from langgraph_ratchet.reasoning.attended import Decision, Proposal, approve, edit, reject

ANSWER_SECONDS = 300.0
"""Longest wait for a person; it is no time of the run."""


async def decide(
    session: ServerSession, request: RequestId, proposal: Proposal, seconds: float = ANSWER_SECONDS
) -> Decision:
    """What the person decides about a tool call.

    Args:
        session: with the client.
        request: the call of `reason` that it belongs to.
        proposal: the call that waits.
        seconds: longest wait.
    """
    try:
        async with asyncio.timeout(seconds):
            answer = await session.elicit_form(_message(proposal), _form(proposal), related_request_id=request)
    except TimeoutError:
        return reject(f"nobody answered within {seconds:g} s whether {proposal.name} may be called")
    except McpError as error:
        return reject(f"the client could not ask whether {proposal.name} may be called: {error.error.message:.200}")
    return _read(answer, proposal)


def can_ask(session: ServerSession) -> bool:
    """Whether the client shows forms; one that names no mode is of a time when there were only forms."""
    offered = session.client_params.capabilities.elicitation if session.client_params else None
    return offered is not None and (offered.form is not None or offered.url is None)


def _message(proposal: Proposal) -> str:
    shown = visible(orjson.dumps(proposal.args, default=str, option=orjson.OPT_INDENT_2).decode())
    return f"May {proposal.name} be called?\n{visible(proposal.description)}\nArguments: {shown}"


def _form(proposal: Proposal) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "decision": {"type": "string", "enum": list(proposal.allowed), "description": "What to do with the call."}
    }
    if "edit" in proposal.allowed:
        properties["arguments"] = {"type": "string", "description": "To edit: all arguments, as a JSON object."}
    if "reject" in proposal.allowed:
        properties["reason"] = {"type": "string", "description": "To reject: why; the model is told."}
    return {"type": "object", "properties": properties, "required": ["decision"]}


def _read(answer: ElicitResult, proposal: Proposal) -> Decision:
    given = answer.content or {}
    decision = given.get("decision")
    if answer.action != "accept":
        return reject("the user did not approve it")
    if decision not in proposal.allowed:
        return reject(f"the client's answer {decision!r:.80} is none of {', '.join(proposal.allowed)}")
    if decision == "approve":
        return approve()
    if decision == "edit":
        try:
            args = orjson.loads(str(given.get("arguments")))
        except orjson.JSONDecodeError:
            args = None
        if not isinstance(args, dict):
            return reject("the edited arguments are no JSON object, so the call was not made")
        return edit(proposal, args)
    return reject(str(given.get("reason") or "the user rejected it"))
