"""`ratchet mcp`: as a child of a real client, and over HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from typer.testing import Result

MAIN = "from langgraph_ratchet.cli import main; main()"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--json"], 2, "otherwise stdout belongs to the protocol"),
        (["--http", "--host", "192.0.2.1"], 1, "the server cannot listen on 192.0.2.1"),
        (["--http", "--port", "0", "--model", "no-such-model"], 1, "unknown model 'no-such-model'"),
        (["--http", "--port", "0", "--tools", "hammer"], 1, "unknown tool 'hammer'"),
        (["--http", "--port", "0", "--allow", "hammer"], 1, "--allow names hammer, which this run does not have"),
        (["--http", "--port", "0", "--host", "0.0.0.0"], 1, "there is no API key"),
    ],
)
def test_what_cannot_be_used_is_said_before_it_serves(
    ratchet: Callable[..., Result], arguments: list[str], status: int, message: str
) -> None:
    done = ratchet("mcp", *arguments)
    assert done.exit_code == status
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""


@pytest.fixture
def served(folder: Path, tiny_model: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """`ratchet mcp --http --json` as a process, and the object that it prints when it is ready."""
    command = [sys.executable, "-c", MAIN, "mcp", "--http", "--port", "0", "--json", "--model", f"local:{tiny_model}"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = []
        while (line := process.stdout.readline()) not in (b"}\n", b""):
            lines.append(line)
        assert line, process.communicate()[1].decode()
        yield process, json.loads(b"".join([*lines, line]))
        process.kill()


@pytest.mark.slow
def test_over_http_it_says_where_and_ends_when_told(served: tuple[Any, dict[str, Any]]) -> None:
    process, said = served
    port = said["url"].rpartition(":")[2].partition("/")[0]
    assert said["keys"] is False
    assert said["hosts"][:2] == [f"127.0.0.1:{port}", f"localhost:{port}"]
    assert httpx.get(f"http://127.0.0.1:{port}/ready", verify=False).json() == {"status": "ready"}
    assert httpx.post(said["url"], json={}, headers={"host": "evil.example"}, verify=False).status_code == 421
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_real_client_reasons_remembers_and_reads_traces(folder: Path, tiny_model: Path) -> None:
    odd: list[Any] = []

    async def received(message: Any) -> None:
        if isinstance(message, Exception):
            odd.append(message)

    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-c", MAIN, "mcp", "--model", f"local:{tiny_model}", "--tools", "calculator,memory"],
        env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
        cwd=folder,
    )
    with (folder / "stderr").open("w") as log:
        async with (
            stdio_client(parameters, errlog=log) as (read, write),
            ClientSession(read, write, message_handler=received) as client,
        ):
            await client.initialize()
            found = [tool.name for tool in (await client.list_tools()).tools]
            kept = await client.call_tool("remember", {"text": "The tower of Pisa leans by four degrees."})
            recalled = await client.call_tool("recall", {"query": "tower of Pisa"})
            done = await client.call_tool("reason", {"question": "What is 1 + 1?", "seed": 1})
            listed = await client.call_tool("traces", {})
    assert not odd
    assert found == ["reason", "remember", "recall", "traces"]
    assert kept.isError is False
    assert recalled.structuredContent is not None
    (record,) = recalled.structuredContent["records"]
    assert (record["text"], record["trust"]) == ("The tower of Pisa leans by four degrees.", "untrusted")
    assert done.structuredContent is not None
    assert listed.structuredContent is not None
    assert [each["id"] for each in listed.structuredContent["traces"]] == [done.structuredContent["trace_id"]]
