"""Servers over streamable HTTP: a real one, and some that send what no server should."""

import gzip
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import uvicorn
from langchain_core.messages import ToolCall
from mcp.server.fastmcp import Context, FastMCP
from tests.tools.mcp.hostile_http import Answer, Hostile, body, broken_off, endless, reply, stream, text
from tests.tools.mcp.processes import Start

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.tools.mcp import McpServers
from langgraph_ratchet.tools.runner import ToolResult, run_tool

QUICK = {"call_timeout_s": 1.0, "start_timeout_s": 5}


def run(servers: McpServers, tool: str, **arguments: Any) -> ToolResult:
    (chosen,) = (each for each in servers.tools if each.name == f"s__{tool}")
    return run_tool(chosen, ToolCall(name=chosen.name, args=arguments, id="1"))


class Real:
    """The SDK's own server on a port of loopback, which can be stopped and started anew."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/mcp"
        self.headers: list[str | None] = []
        self.start()

    def start(self) -> None:
        app = FastMCP("real", log_level="ERROR")

        @app.tool()
        def add(a: int, b: int, context: Context) -> int:  # type: ignore[type-arg]
            """Adds."""
            self.headers.append(context.request_context.request.headers.get("x-key"))  # type: ignore[union-attr]
            return a + b

        @app.tool()
        def fail() -> None:
            """Fails."""
            raise RuntimeError("no luck")

        config = uvicorn.Config(app.streamable_http_app(), log_level="error", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        copy = self._listening.dup()
        self._thread = threading.Thread(target=self._server.run, args=([copy],))
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def close(self) -> None:
        self.stop()
        self._listening.close()


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    server = Real()
    yield server
    server.close()


def test_a_real_server_is_used(real: Real, start: Start) -> None:
    servers = start(s={"url": real.url, "headers": {"X-Key": "secret"}})
    assert [tool.name for tool in servers.tools] == ["s__add", "s__fail"]
    assert run(servers, "add", a=2, b=3).text == "5"
    assert real.headers[-1] == "secret"
    failed = run(servers, "fail")
    assert (failed.failed, failed.text) == (True, "error: Error executing tool fail: no luck")
    assert "validation error" in run(servers, "add", a="x").text


def test_a_session_is_made_anew_when_the_server_was(real: Real, start: Start) -> None:
    servers = start(s={"url": real.url, "ratchet": {"call_timeout_s": 10}})
    assert run(servers, "add", a=1, b=1).text == "2"
    real.stop()
    real.start()
    lost = run(servers, "add", a=1, b=1)
    assert "failed: " in lost.text
    assert "the next call starts it anew" in lost.text
    assert run(servers, "add", a=1, b=2).text == "3"


def event(message: Any) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


def compressed(handler: BaseHTTPRequestHandler, message: dict[str, Any]) -> None:
    bomb = gzip.compress(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": text("x" * 5_000_000)}).encode())
    body(handler, bomb, content_encoding="gzip")


NOTE = {"jsonrpc": "2.0", "method": "notifications/progress"}
Host = Callable[[Answer], Hostile]


@pytest.fixture
def host() -> Iterator[Host]:
    hosts: list[Hostile] = []

    def made(answer: Answer) -> Hostile:
        hosts.append(Hostile(answer))
        return hosts[-1]

    yield made
    for each in hosts:
        each.close()


CASES: dict[str, tuple[Answer, str]] = {
    "an endless event": (lambda h, _: stream(h, endless(b"x" * 65536)), "failed: it sent a message of more than"),
    "an event of endless lines": (lambda h, _: stream(h, endless(b"data: x\n" * 9000)), "a message of more than"),
    "endless events": (lambda h, _: stream(h, endless(event({}))), "failed: it sends what is no message"),
    "endless notes": (lambda h, _: stream(h, endless(event(NOTE) * 100)), "failed: it sent more than 10000 messages"),
    "a long body": (lambda h, m: reply(h, m, text("x" * (5 << 20))), "failed: it sent a message of more than"),
    "a compressed body": (compressed, "failed: it sent a compressed answer"),
    "an error of the server": (lambda h, _: body(h, b"secret", 500), "failed: it answered with status 500;"),
    "no permission": (lambda h, _: body(h, b"", 401), "answered with status 401: give its key in headers"),
    "no JSON": (lambda h, _: body(h, b"<html>"), "gave no result within 0.4 seconds; it sent 1 lines that are no"),
    "a list": (lambda h, m: reply(h, m, []), "gave no result within 0.4 seconds"),
    "another type": (lambda h, _: body(h, b"", content_type="text/html"), "gave no result within 0.4 seconds"),
    "another place": (lambda h, _: body(h, b"", 307, location="http://127.0.0.1:9/"), "Redirect to"),
    "nothing": (lambda h, _: time.sleep(0.8), "gave no result within 0.4 seconds"),
    "a short body": (lambda h, _: body(h, b"{", content_length="1000"), "gave no result within 0.4 seconds"),
    "an end without an answer": (lambda h, _: stream(h, iter([])), "gave no result within 0.4 seconds"),
    "an answer to be asked for again": (broken_off, "failed: it broke its answer off more than 8 times"),
}


QUICK_CASES = ("an endless event", "a compressed body", "an error of the server", "nothing", "another place")


@pytest.mark.parametrize(
    "case", [case if case in QUICK_CASES else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_a_hostile_answer_is_an_error_text_in_time(start: Start, host: Host, case: str) -> None:
    answer, why = CASES[case]
    server = host(answer)
    rules = QUICK | ({"call_timeout_s": 0.4} if "no result" in why else {"call_timeout_s": 10})
    servers = start(s={"url": server.url, "ratchet": rules})
    result = run(servers, "do")
    assert result.failed
    assert why in result.text
    assert "secret" not in result.text
    assert result.seconds < 9
    assert server.seen.count("GET") < 20


@pytest.mark.slow
def test_many_small_events_are_taken(start: Start, host: Host) -> None:
    note = event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 1000}})

    def answer(handler: BaseHTTPRequestHandler, message: dict[str, Any]) -> None:
        found = event({"jsonrpc": "2.0", "id": message["id"], "result": text("found")})
        stream(handler, iter([note * 5_000, found]))  # more bytes than one message may have

    assert run(start(s={"url": host(answer).url, "ratchet": QUICK | {"call_timeout_s": 10}}), "do").text == "found"


def test_no_stream_is_opened_for_what_a_server_says_unasked(start: Start, host: Host) -> None:
    server = host(lambda handler, message: reply(handler, message, text("found")))
    servers = start(s={"url": server.url, "ratchet": QUICK})
    assert run(servers, "do").text == "found"
    servers.close()
    assert server.seen == ["initialize", "notifications/initialized", "tools/list", "tools/call", "DELETE"]


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/mcp",
        "https://192.168.1.1/mcp",
        "https://169.254.169.254/latest/meta-data",
        "https://100.100.100.200/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://localhost.localdomain/",
        "https://LOCALHOST./",
    ],
)
def test_an_address_that_is_not_public_is_not_connected_to(start: Start, connected: list[Any], url: str) -> None:
    with pytest.raises(BadInputError, match="MCP server 's' failed: no connection"):
        start(s={"url": url, "ratchet": QUICK})
    assert connected == []


@pytest.fixture
def connected() -> Iterator[list[Any]]:
    """Every address that a socket was connected to."""
    addresses: list[Any] = []
    watching = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "socket.connect" and arguments[0].family != socket.AF_UNIX:
            addresses.append(arguments[1])

    sys.addaudithook(note)
    yield addresses
    watching = False


def test_a_private_network_is_allowed_by_the_user_and_the_cloud_is_not(start: Start) -> None:
    rules = QUICK | {"private_network": True}
    for url in ("http://169.254.169.254/", "http://0.0.0.0/", "http://localhost.localdomain/"):
        with pytest.raises(BadInputError, match="no connection: .*not on the public internet|no connection"):
            start(s={"url": url, "ratchet": rules})


def test_a_server_that_is_not_there_says_so(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(BadInputError, match="MCP server 's' failed: no connection: .*"):
        start(s={"url": f"http://127.0.0.1:{port}/mcp", "ratchet": QUICK})
