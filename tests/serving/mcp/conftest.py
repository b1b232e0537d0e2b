"""The MCP server over a scripted model with a tool that sends, and real clients for it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import Implementation
from tests.serving.mcp.sending import DATE, Outbox

from langgraph_ratchet import create_reasoner, get_tools
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.serving.mcp.offer import Offer
from langgraph_ratchet.serving.mcp.reason import Runs, reason_offer
from langgraph_ratchet.serving.mcp.server import create_mcp_server
from langgraph_ratchet.serving.mcp.traces import traces_offer
from langgraph_ratchet.traces.store import TraceStore


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore(f"sqlite:///{tmp_path}/traces.db")


@pytest.fixture
def make_server(store: TraceStore, outbox: Outbox) -> Callable[..., Any]:
    """The server, whose model says what it is given."""

    def make(*replies: Any, allow: Sequence[str] = (), offers: Sequence[Offer] = (), **limits: int) -> Any:
        tools = [*get_tools("clock"), outbox.tool()]
        runs = Runs(
            lambda: create_reasoner(
                ScriptedChatModel.of(*(replies or DATE)), tools, store=store, **({"allow": allow} if allow else {})
            ),
            **limits,
        )
        return create_mcp_server([reason_offer(runs), traces_offer(store), *offers])

    return make


@pytest.fixture
def connected() -> Callable[..., Any]:
    """A client of a server, in memory: every message passes as the SDK would send it."""

    @asynccontextmanager
    async def connect(server: Any, **client: Any) -> AsyncIterator[ClientSession]:
        name = Implementation(name="the test", version="1")
        async with create_connected_server_and_client_session(server, client_info=name, **client) as session:
            yield session

    return connect
