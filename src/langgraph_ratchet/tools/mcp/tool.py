"""An MCP tool as a LangChain tool: sync and async, from any thread and any event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langchain_mcp_adapters.interceptors import MCPToolCallRequest
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from mcp import types
from pydantic import PrivateAttr

from langgraph_ratchet.core.ids import canonical_json
from langgraph_ratchet.core.visible import visible
from langgraph_ratchet.tools.mcp.config import Server, ToolRules
from langgraph_ratchet.tools.mcp.loop import BACKGROUND
from langgraph_ratchet.tools.mcp.offers import Offer
from langgraph_ratchet.tools.spec import Effect, ToolSpec

Call = Callable[[str, dict[str, Any]], Coroutine[Any, Any, types.CallToolResult]]
"""Makes a call on the background loop: tool, arguments."""

_MARGIN_S = 2.0
"""For the server's own time limit to be the one that is met."""


class McpTool(BaseTool):
    """A tool of an MCP server. Not a `StructuredTool`: that keeps arguments called `config` and the like to itself."""

    _adapted: StructuredTool = PrivateAttr()

    def _run(self, /, **arguments: Any) -> Any:
        return BACKGROUND.submit(self._called(arguments)).result()

    async def _arun(self, /, **arguments: Any) -> Any:
        return await asyncio.wrap_future(BACKGROUND.submit(self._called(arguments)))

    async def _called(self, arguments: dict[str, Any]) -> Any:
        assert self._adapted.coroutine is not None
        return await self._adapted.coroutine(**arguments)


def mcp_tool(server: Server, offer: Offer, call: Call) -> McpTool:
    """The tool `server__tool`.

    Args:
        server: who offers it, with the user's rules for it.
        offer: what was accepted.
        call: makes the calls.
    """

    async def kept_session(request: MCPToolCallRequest, handler: Any) -> types.CallToolResult:
        # The adapter takes an argument of this name for its own.
        arguments = request.args if request.runtime is None else {**request.args, "runtime": request.runtime}
        return _as_text(await call(request.name, arguments))

    adapted = convert_mcp_tool_to_langchain_tool(
        None,
        types.Tool(name=offer.name, description=offer.description, inputSchema=dict(offer.schema)),
        connection={"transport": "stdio", "command": "", "args": []},  # never opened: the interceptor answers
        tool_interceptors=[kept_session],
        server_name=server.name,
    )
    assert isinstance(adapted, StructuredTool)
    tool = McpTool(
        name=f"{server.name}__{offer.name}",
        description=offer.description,
        args_schema=dict(offer.schema),
        response_format="content_and_artifact",
        handle_tool_error=_failure,
        metadata=_spec(server, offer.name).metadata(),
    )
    tool._adapted = adapted
    return tool


def _spec(server: Server, tool: str) -> ToolSpec:
    """What the user says of the tool. What the server says of it ("readOnlyHint") is not looked at."""
    rules = server.ratchet.tools.get(tool, ToolRules())
    return ToolSpec(
        effects=frozenset(Effect) if rules.effects is None else rules.effects,
        timeout_s=server.ratchet.call_timeout_s + _MARGIN_S,
        output_cap=rules.output_cap,
        trust=rules.trust,
        described_by=server.ratchet.described_by,
        targets=rules.targets,
    )


def _failure(error: ToolException) -> Any:
    """What a failed call gives: what the server said of it, or why there is no result."""
    return getattr(error, "tool_content", None) or str(error)


def _as_text(result: types.CallToolResult) -> types.CallToolResult:
    """The result with what is not text named instead of held: no model here reads it, and a picture fills a trace."""
    parts: list[types.ContentBlock] = [
        part if isinstance(part, types.TextContent) else types.TextContent(type="text", text=_named(part))
        for part in result.content
    ]
    if not parts and result.structuredContent is not None:
        parts = [types.TextContent(type="text", text=canonical_json(result.structuredContent).decode())]
    return types.CallToolResult(content=parts, isError=result.isError)


def _named(part: types.ContentBlock) -> str:
    if isinstance(part, types.ImageContent | types.AudioContent):
        return f"[{part.type}: {visible(part.mimeType)[:100]}, {len(part.data) * 3 // 4} bytes]"
    if isinstance(part, types.ResourceLink):
        return f"[resource: {visible(f'{part.name} {part.uri}')[:500]}]"
    if isinstance(part, types.EmbeddedResource) and isinstance(part.resource, types.TextResourceContents):
        return part.resource.text
    return f"[{part.type}]"
