"""The MCP server over stdin and stdout, as a child of a real client."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.serving.mcp import stdio
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.runner import run_tool

SERVER = str(Path(__file__).with_name("stdio_server.py"))
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


async def test_stdout_carries_the_protocol_whatever_prints(tmp_path: Path) -> None:
    odd: list[Any] = []

    async def received(message: Any) -> None:
        if isinstance(message, Exception):  # a line that is no message
            odd.append(message)

    parameters = StdioServerParameters(command=sys.executable, args=[SERVER], cwd=tmp_path)
    with (tmp_path / "stderr").open("w") as log:
        async with (
            stdio_client(parameters, errlog=log) as (read, write),
            ClientSession(read, write, message_handler=received) as client,
        ):
            told = await client.initialize()
            done = await client.call_tool("reason", {"question": "q"})
    assert told.serverInfo.name == "ratchet"
    assert not odd
    assert done.structuredContent is not None
    assert done.structuredContent["answer"] == "It is 0 bytes, größer \N{REPLACEMENT CHARACTER}"
    printed = (tmp_path / "stderr").read_text()
    assert all(line in printed for line in ("PRINTED", "WRITTEN", "A CHILD PRINTED"))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    with subprocess.Popen(
        [sys.executable, SERVER], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        yield child
        child.kill()


def _sent(process: Any, *messages: Any) -> None:
    for message in messages:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        process.stdin.write(line + b"\n")
    process.stdin.flush()


def _answer(process: Any, id_: int) -> Any:
    """The answer to a request; what else comes before is passed over."""
    for line in process.stdout:
        message = json.loads(line)
        if message.get("id") == id_:
            return message
    raise AssertionError("the server has gone")


@pytest.mark.slow
def test_lines_that_cannot_be_read_end_nothing_and_sigterm_does(process: Any) -> None:
    _sent(process, HELLO, READY)
    assert _answer(process, 0)["result"]["serverInfo"]["name"] == "ratchet"
    deep = b'{"a":' * 100_000
    _sent(process, b"\xff\xfe garbage", b"[]", deep, b'{"jsonrpc":"2.0","id":9,"method":"no/such"}')
    _sent(process, b"x" * (stdio.LINE_BYTES * 2 + 17), LIST)
    assert [tool["name"] for tool in _answer(process, 1)["result"]["tools"]] == ["reason"]
    with open(f"/proc/{process.pid}/status") as status:
        (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 400_000, "kB; the long line was kept"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0, "it ends at once, though it waits for a line"


def test_a_line_is_cut_where_it_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LINE_BYTES", 8)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as source, os.fdopen(write, "wb") as target:
        target.write(b"1234567\n12345678\n123456789012345678901234\nok\nend")
        target.close()
        assert [stdio._line(source) for _ in range(5)] == ["1234567\n", stdio._TOO_LONG, stdio._TOO_LONG, "ok\n", "end"]
        assert stdio._line(source) is None


@pytest.mark.slow
def test_the_engines_own_mcp_client_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {"command": sys.executable, "args": [SERVER], "env": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"peer": entry}}))
    (reason,) = get_tools("mcp:servers.json")
    assert reason.name == "peer__reason"
    call = ToolCall(name="peer__reason", args={"question": "q"}, id="1")
    result = run_tool(reason, call)
    assert "It is 0 bytes" in result.text, result.text
    assert result.trust is Trust.UNTRUSTED
