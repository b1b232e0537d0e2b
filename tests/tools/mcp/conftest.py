import json
import sys
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from tests.tools.mcp.processes import Do, Entry, Start, gone, processes

from langgraph_ratchet.tools.mcp import McpServers
from langgraph_ratchet.tools.runner import ToolResult, run_tool

PLAIN = Path(__file__).with_name("plain_server.py")


@pytest.fixture
def mark() -> str:
    """What a test finds the processes by that it caused."""
    return f"mark-{uuid.uuid4().hex}"


@pytest.fixture
def plain(mark: str, tmp_path: Path) -> Entry:
    """The entry of a server that does what a test wants (`plain_server`)."""
    numbers = count()

    def entry(
        *, rules: dict[str, Any] | None = None, env: dict[str, str] | None = None, **orders: Any
    ) -> dict[str, Any]:
        path = tmp_path / f"orders-{next(numbers)}.json"
        path.write_text(json.dumps(orders), encoding="utf-8")
        arguments = ["-I", "-S", str(PLAIN), str(path), mark]
        return {"command": sys.executable, "args": arguments, "env": env or {}, "ratchet": rules or {}}

    return entry


@pytest.fixture
def start(tmp_path: Path, mark: str) -> Iterator[Start]:
    """Starts servers by their entries; after the test none of them is left."""
    running: list[McpServers] = []

    def started(**entries: Any) -> McpServers:
        running.append(McpServers({"mcpServers": entries}, pins=tmp_path / "pins.json"))
        return running[-1]

    yield started
    for servers in running:
        servers.close()
    assert gone(mark), processes(mark)


@pytest.fixture
def do(start: Start, plain: Entry) -> Do:
    """Has a plain server that is called `s` do something, as a graph would call it."""
    made: list[McpServers] = []

    def run(action: str, value: Any = None, **entry: Any) -> ToolResult:
        if not made:
            made.append(start(s=plain(**entry)))
        (tool,) = made[0].tools
        return run_tool(tool, ToolCall(name=tool.name, args={"action": action, "value": value}, id="1"))

    return run
