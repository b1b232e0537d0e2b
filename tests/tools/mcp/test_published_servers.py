"""Servers that others have published, as they are installed by scripts/mcp_servers.sh."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from langchain_core.utils.function_calling import convert_to_openai_tool
from tests.tools.mcp.processes import Start

from langgraph_ratchet.tools.mcp import McpServers
from langgraph_ratchet.tools.runner import ToolResult, run_tool

pytestmark = pytest.mark.slow

_FOLDER = Path(__file__).parents[3] / ".venv" / "mcp-servers"
NPM = _FOLDER / "node_modules" / ".bin"
PYPI = _FOLDER / "python" / "bin"


def program(folder: Path, name: str) -> str:
    if not (folder / name).exists():
        pytest.skip(f"not verified here: the published MCP server {name} (make mcp-servers installs it)")
    return str(folder / name)


def node() -> dict[str, str]:
    """Where node is, which programs from npm look for themselves."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("not verified here: MCP servers from npm (there is no node)")
    return {"PATH": os.path.dirname(found)}


def run(servers: McpServers, name: str, **arguments: Any) -> ToolResult:
    (tool,) = (each for each in servers.tools if each.name == name)
    return run_tool(tool, ToolCall(name=name, args=arguments, id="1"))


def told(servers: McpServers) -> None:
    """All that a server offers can be told to a model, and nothing was left out."""
    assert servers.tools
    assert not [line for line in servers.said if "left out" in line]
    for tool in servers.tools:
        json.dumps(convert_to_openai_tool(tool))


def test_filesystem(start: Start, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside.txt").write_text("outside", encoding="utf-8")
    entry = {"command": program(NPM, "mcp-server-filesystem"), "args": [str(inside)], "env": node()}
    servers = start(files=entry)
    told(servers)
    assert not run(servers, "files__write_file", path=str(inside / "a.txt"), content="one\ntwo").failed
    assert (inside / "a.txt").read_text(encoding="utf-8") == "one\ntwo"
    assert run(servers, "files__read_text_file", path=str(inside / "a.txt"), head=1).text == "one"
    denied = run(servers, "files__read_text_file", path=str(tmp_path / "outside.txt"))
    assert denied.failed
    assert "Access denied" in denied.text


def test_memory(start: Start, tmp_path: Path) -> None:
    kept = tmp_path / "memory.jsonl"
    entry = {"command": program(NPM, "mcp-server-memory"), "env": {**node(), "MEMORY_FILE_PATH": str(kept)}}
    servers = start(memory=entry)
    told(servers)
    entity = {"name": "Ada", "entityType": "person", "observations": ["writes programs"]}
    assert not run(servers, "memory__create_entities", entities=[entity]).failed
    assert "writes programs" in run(servers, "memory__search_nodes", query="Ada").text
    servers.close()
    assert "writes programs" in run(start(memory=entry), "memory__read_graph").text


def test_everything(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVILY_API_KEY", "secret")
    entry = {"command": program(NPM, "mcp-server-everything"), "env": {**node(), "GIVEN": "1"}}
    servers = start(everything={**entry, "ratchet": {"call_timeout_s": 3}})
    told(servers)
    assert run(servers, "everything__echo", message="hello").text == "Echo: hello"
    seen = json.loads(run(servers, "everything__get-env").text)
    assert {name: value for name, value in seen.items() if name != "PATH"} == {"GIVEN": "1"}
    assert "[image: image/png, " in run(servers, "everything__get-tiny-image").text
    assert not run(servers, "everything__get-structured-content", location="New York").failed
    late = run(servers, "everything__trigger-long-running-operation", duration=30, steps=2)
    assert "gave no result within 3 seconds" in late.text
    assert run(servers, "everything__echo", message="still here").text == "Echo: still here"


@pytest.fixture
def everything_url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program(NPM, "mcp-server-everything"), "streamableHttp"],
        env={**node(), "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait()


def test_everything_over_http(start: Start, everything_url: str) -> None:
    servers = start(everything={"url": everything_url})
    told(servers)
    assert run(servers, "everything__echo", message="hello").text == "Echo: hello"
    assert run(servers, "everything__get-sum", a=2, b=3).text.endswith("is 5.")


def test_time(start: Start) -> None:
    servers = start(time={"command": program(PYPI, "mcp-server-time")})
    told(servers)
    found = json.loads(run(servers, "time__get_current_time", timezone="Asia/Tokyo").text)
    assert found["timezone"] == "Asia/Tokyo"
    assert "Invalid timezone" in run(servers, "time__get_current_time", timezone="Nowhere").text


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html><body><article><h1>Ducks</h1><p>They swim.</p></article></body></html>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_fetch(start: Start) -> None:
    arguments = ["--ignore-robots-txt", "--allow-private-ips"]
    servers = start(fetch={"command": program(PYPI, "mcp-server-fetch"), "args": arguments})
    told(servers)
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as pages:
        threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        read = run(servers, "fetch__fetch", url=f"http://127.0.0.1:{pages.server_address[1]}/")
        pages.shutdown()
    assert not read.failed
    assert "They swim." in read.text
