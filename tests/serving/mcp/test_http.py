"""The MCP server over HTTP, behind keys and limits, with real clients on loopback."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult
from tests.serving.mcp.sending import MAIL, Outbox

from langgraph_ratchet.serving.keys import KeyFile
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.mcp.http import PATH, answered_hosts, create_mcp_app
from langgraph_ratchet.serving.server import Server, listen
from langgraph_ratchet.serving.start import Place

Make = Callable[..., Any]
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}
ACCEPTED = {"accept": "application/json, text/event-stream"}


class Running:
    """The server in a thread."""

    def __init__(self, mcp_server: Any, keys: KeyFile | None, limits: Limits) -> None:
        self.place = Place(listen("127.0.0.1", 0), keys, limits)
        self.port = self.place.listener.getsockname()[1]
        self.url = self.place.address + PATH
        surroundings = self.place.surroundings(lambda: None, held_paths=(PATH,))
        app = create_mcp_app(mcp_server, surroundings, hosts=answered_hosts(self.place, ["ratchet.example"]))
        ready = threading.Event()

        async def nothing() -> None:
            pass

        drain = surroundings.drain
        self.server = Server(app, self.place.listener, limits=limits, drain=drain, load=nothing, on_ready=ready.set)
        self.all_ended: bool | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self) -> None:
        self.all_ended = self.server.run_until_stopped()

    def stop(self) -> None:
        """Ends it, and waits for the end."""
        if self._thread.is_alive():
            self.server.stop()
            self._thread.join(20)
            assert not self._thread.is_alive()

    @asynccontextmanager
    async def client(self, key: str | None = None, **callbacks: Any) -> AsyncIterator[ClientSession]:
        """A real client, with a key or without."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with (
            httpx.AsyncClient(headers=headers, timeout=20, verify=False) as http,  # no certificates to read
            streamable_http_client(self.url, http_client=http) as (read, write, _),
            ClientSession(read, write, **callbacks) as session,
        ):
            await session.initialize()
            yield session

    def post(self, **headers: str) -> httpx.Response:
        """A hello as anybody may send it."""
        return httpx.post(self.url, json=HELLO, headers={**ACCEPTED, **headers}, timeout=20, verify=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def call(mcp_server: Any, keys: KeyFile | None = None, **limits: Any) -> Running:
        started.append(Running(mcp_server, keys, Limits(**limits)))
        return started[-1]

    yield call
    for running in started:
        running.stop()


async def test_a_run_with_progress_and_an_approval(
    serve: Callable[..., Running], make_server: Make, outbox: Outbox
) -> None:
    told: list[str | None] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        told.append(message)

    async def elicit(_context: Any, _params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"decision": "approve"})

    async with serve(make_server(*MAIL)).client(elicitation_callback=elicit) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"reason", "traces"}
        done = await client.call_tool("reason", {"question": "Greet Ada."}, progress_callback=progress)
    assert done.structuredContent is not None
    assert done.structuredContent["answer"] == "done"
    assert outbox.sent == [("ada", "hi")]
    assert "tools: send gave a result" in told


def test_only_requests_that_call_it_by_its_name_are_answered(serve: Callable[..., Running], make_server: Make) -> None:
    server = serve(make_server())
    port = server.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "ratchet.example"):
        assert server.post(host=host).status_code == 200, host
        assert server.post(host=host, origin=f"http://{host}").status_code == 200, host
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port + 1}",
        f"127.0.0.1:{port}.evil",
    ):
        assert server.post(host=host).status_code == 421, host
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port}.evil.example", "file://"):
        assert server.post(origin=origin).status_code == 403, origin
    assert server.post(**{"content-type": "text/plain"}).status_code == 400


async def test_as_soon_as_there_is_a_key_every_request_needs_one(
    serve: Callable[..., Running], make_server: Make, tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    server = serve(make_server(), keys)
    assert server.post().status_code == 200
    key = keys.add("ada")
    assert server.post().status_code == 401
    assert server.post(authorization="Bearer ratchet-guess").status_code == 401
    async with httpx.AsyncClient(timeout=20, verify=False) as http:
        answers = [await http.request(method, server.url) for method in ("GET", "DELETE", "OPTIONS")]
    assert [answer.status_code for answer in answers] == [401] * 3
    async with server.client(key) as client:
        assert (await client.call_tool("traces", {})).isError is False
    keys.revoke("ada")
    assert server.post(authorization=f"Bearer {key}").status_code == 401


def test_a_session_is_its_keys_own(serve: Callable[..., Running], make_server: Make, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    ada, bob = keys.add("ada"), keys.add("bob")
    server = serve(make_server(), keys)
    session = server.post(authorization=f"Bearer {ada}").headers["mcp-session-id"]
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    for key, status in ((bob, 404), (ada, 202)):
        headers = {**ACCEPTED, "mcp-session-id": session, "authorization": f"Bearer {key}"}
        assert httpx.post(server.url, json=ready, headers=headers, timeout=20, verify=False).status_code == status


def test_what_is_too_large_is_not_read(serve: Callable[..., Running], make_server: Make) -> None:
    server = serve(make_server(), body_bytes=10_000)
    large = {**HELLO, "params": {"pad": "x" * 10_000}}
    assert httpx.post(server.url, json=large, headers=ACCEPTED, timeout=20, verify=False).status_code == 413
    assert server.post().status_code == 200


def test_sessions_are_bounded(serve: Callable[..., Running], make_server: Make) -> None:
    server = serve(make_server(), running=2)
    assert [server.post().status_code for _ in range(3)] == [200, 200, 503]


async def test_the_end_does_not_wait_for_clients_that_only_listen(
    serve: Callable[..., Running], make_server: Make
) -> None:
    server = serve(make_server(), drain_seconds=20)
    async with server.client() as client:
        await client.call_tool("traces", {})
        started = time.monotonic()
        server.server.stop()
        server._thread.join(20)
        assert server.all_ended is True
        assert time.monotonic() - started < 10
