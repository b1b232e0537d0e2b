"""Tools of MCP servers are called like any other: sync and async, from threads and loops, and leave nothing behind."""

import asyncio
import gc
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall, ToolMessage
from tests.tools.mcp.processes import Do, Entry, Start, gone, processes

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.conformance import CHECKS
from langgraph_ratchet.tools.mcp import McpServers, mcp_tools
from langgraph_ratchet.tools.runner import arun_tool, run_tool
from langgraph_ratchet.tools.spec import Effect, spec_of

TYPED: dict[str, Any] = {
    "name": "do",
    "description": "Does something.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


def call(name: str = "s__do", **arguments: Any) -> ToolCall:
    return ToolCall(name=name, args=arguments, id="1")


def test_a_server_has_no_environment_but_what_its_entry_names(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVILY_API_KEY", "secret")
    given = json.loads(do("env", env={"A": "1"}).text)
    given.pop("LC_CTYPE", None)  # Python sets it itself where there is no locale
    assert given == {"A": "1"}


def test_a_server_runs_where_its_entry_says(start: Start, plain: Entry, tmp_path: Path) -> None:
    (tool,) = start(s={**plain(), "cwd": str(tmp_path)}).tools
    assert run_tool(tool, call(action="cwd")).text == str(tmp_path)


def test_a_tool_counts_as_having_any_effect_whatever_its_server_says(start: Start, plain: Entry) -> None:
    claims = {"readOnlyHint": True, "ratchet": {"effects": [], "timeout_s": 1, "output_cap": 9, "trust": "own"}}
    claimed = TYPED | {"annotations": claims, "_meta": claims}
    rules = {"tools": {"mine": {"effects": ["reads"], "trust": "own", "output_cap": 5}}, "call_timeout_s": 7}
    theirs, mine = start(s=plain(tools=[claimed, claimed | {"name": "mine"}], rules=rules)).tools
    assert spec_of(theirs).effects == frozenset(Effect)
    assert spec_of(theirs).trust == Trust.UNTRUSTED
    assert spec_of(mine).effects == {Effect.READS}
    assert (spec_of(mine).trust, spec_of(mine).output_cap) == (Trust.OWN, 5)
    assert 7 < spec_of(mine).timeout_s < 10


def test_a_tool_is_told_apart_from_a_built_in_one(start: Start, plain: Entry) -> None:
    named = [TYPED | {"name": name} for name in ("calculator", "read_file", "s__do")]
    one, other = plain(tools=named), plain(tools=named)
    names = [tool.name for tool in start(s=one, t=other).tools]
    assert names == [f"{s}__{n}" for s in "st" for n in ("calculator", "read_file", "s__do")]
    assert not {"calculator", "read_file"} & set(names)


def test_a_tool_keeps_what_every_tool_promises(start: Start, plain: Entry) -> None:
    rules = {"tools": {"do": {"effects": ["reads"]}}}
    (tool,) = start(s=plain(tools=[TYPED], rules=rules)).tools
    for check in CHECKS:
        if check.__name__ != "check_bad_arguments_end_in_an_error_text":  # this server takes any arguments
            check(tool)


@pytest.mark.parametrize("name", ["config", "runtime", "run_manager", "callbacks", "self", "tool_call_id", "a b", "ä"])
async def test_an_argument_may_have_any_name(start: Start, plain: Entry, name: str) -> None:
    (tool,) = start(s=plain()).tools
    assert json.loads(run_tool(tool, call(**{name: {"a": [1, None]}})).text) == {name: {"a": [1, None]}}
    assert json.loads((await arun_tool(tool, call(**{name: "x"}))).text) == {name: "x"}


@pytest.mark.parametrize("value", ["\ud800\x00a", float("nan"), 10**400, "\u2028", "x" * 1_000_000])
def test_any_value_can_be_sent(start: Start, plain: Entry, value: Any) -> None:
    (tool,) = start(s=plain(rules={"call_timeout_s": 10})).tools
    message = tool.invoke({"type": "tool_call", **call(value=value)})
    assert isinstance(message, ToolMessage)
    assert message.status == "success"
    assert not run_tool(tool, call(action="count")).failed


def test_what_cannot_be_sent_is_an_error_text(start: Start, plain: Entry) -> None:
    (tool,) = start(s=plain()).tools
    value: list[Any] = []
    for _ in range(300):
        value = [value]
    assert "these arguments cannot be sent to MCP server 's'" in run_tool(tool, call(value=value)).text
    assert run_tool(tool, call(action="count")).text == "1"


def test_what_is_not_text_is_named(do: Do) -> None:
    resource = {"uri": "file:///a.txt", "mimeType": "text/plain", "text": "inside"}
    pieces = [
        {"type": "text", "text": "before"},
        {"type": "image", "data": "AAAA" * 1000, "mimeType": "image/png"},
        {"type": "audio", "data": "AAAA", "mimeType": "audio/\x1b[2J"},
        {"type": "resource", "resource": resource},
        {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}},
        {"type": "resource_link", "uri": "https://example.com/", "name": "page"},
    ]
    assert do("pieces", pieces).text.splitlines() == [
        "before",
        "[image: image/png, 3000 bytes]",
        "[audio: audio/\\x1b[2J, 3 bytes]",
        "inside",
        "[resource]",
        "[resource: page https://example.com/]",
    ]
    assert do("structured").text == '{"found":3}'
    assert do("pieces", []).text == ""


def test_a_failed_call_is_told_apart(do: Do) -> None:
    result = do("refuse")
    assert (result.text, result.failed, result.trust) == ("error: no such thing", True, Trust.UNTRUSTED)


async def test_a_call_can_be_made_within_a_running_loop(start: Start, plain: Entry) -> None:
    (tool,) = start(s=plain()).tools
    asked = {"action": "count"}
    assert tool.invoke(asked)[0]["text"] == "1"
    assert (await tool.ainvoke(asked))[0]["text"] == "2"
    assert (await asyncio.to_thread(tool.invoke, asked))[0]["text"] == "3"
    assert (await asyncio.to_thread(lambda: asyncio.run(tool.ainvoke(asked))))[0]["text"] == "4"


def test_calls_at_once_share_a_session(start: Start, plain: Entry) -> None:
    (tool,) = start(s=plain(parallel=True)).tools
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: run_tool(tool, call(n=n)), range(200)))
    assert [json.loads(result.text) for result in found] == [{"n": n} for n in range(200)]
    assert int(run_tool(tool, call(action="count")).text) == 201


async def test_a_cancelled_call_leaves_the_server_in_use(start: Start, plain: Entry) -> None:
    (tool,) = start(s=plain(parallel=True)).tools
    pid = run_tool(tool, call(action="pid")).text
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await tool.ainvoke({"action": "slow", "value": 0.3})
    assert run_tool(tool, call(action="pid")).text == pid


def test_a_closed_server_says_so(start: Start, plain: Entry, mark: str) -> None:
    with start(s=plain()) as servers:
        (tool,) = servers.tools
        assert len(processes(mark)) == 1
    assert not processes(mark)
    assert run_tool(tool, call()).text == "error: MCP server 's' was closed"
    servers.close()


def test_servers_end_with_the_last_of_their_tools(tmp_path: Path, plain: Entry, mark: str) -> None:
    one, other = mcp_tools({"mcpServers": {"s": plain(), "t": plain()}}, pins=tmp_path / "pins.json")
    del one
    gc.collect()
    assert not run_tool(other, call(action="count")).failed
    assert len(processes(mark)) == 2
    del other
    gc.collect()
    assert gone(mark)


def test_tools_are_found_by_the_name_of_their_file(
    tmp_path: Path, plain: Entry, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINING_DATA_PATH", str(tmp_path / "data"))
    (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"s": plain()}}), encoding="utf-8")
    tools = get_tools("calculator", f"mcp:{tmp_path / 'servers.json'}")
    assert [tool.name for tool in tools] == ["calculator", "s__do"]
    assert (tmp_path / "data" / "mcp_pins.json").exists()
    del tools
    gc.collect()
    assert gone(mark)


PROGRAM = """
import os, signal, sys
from pathlib import Path
import langgraph_ratchet
from langgraph_ratchet.tools.mcp import mcp_tools
(tool,) = mcp_tools(Path(sys.argv[1]), pins=Path(sys.argv[2]))
print(tool.invoke({"action": "count"})[0]["text"], flush=True)
"""
ENDS = {
    "returns": "",
    "raises": "raise SystemExit(3)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "is asked to end": "os.kill(os.getpid(), signal.SIGTERM)",
    "forks": """
if not (child := os.fork()):
    print(tool.invoke({"action": "count"})[0]["text"], flush=True)  # another server: the first is the parent's
    sys.exit()
os.waitpid(child, 0)
print(tool.invoke({"action": "count"})[0]["text"], flush=True)
""",
}


def ended(config: Path, pins: Path, end: str) -> list[str]:
    """What a process says that uses the servers of `config` and then ends in the way of that name."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + ENDS[end], str(config), str(pins)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("orders", [{}, {"start": "stays"}], ids=["polite", "stays"])
def test_no_server_outlives_its_process(
    tmp_path: Path, plain: Entry, mark: str, end: str, orders: dict[str, Any]
) -> None:
    config = tmp_path / "servers.json"
    config.write_text(json.dumps({"mcpServers": {"s": plain(**orders)}}), encoding="utf-8")
    assert ended(config, tmp_path / "pins.json", end) == (["1", "1", "2"] if end == "forks" else ["1"])
    assert gone(mark)


def test_a_server_has_time_to_end_when_its_process_does(tmp_path: Path, plain: Entry) -> None:
    config, farewell = tmp_path / "servers.json", tmp_path / "farewell"
    config.write_text(json.dumps({"mcpServers": {"s": plain(farewell=str(farewell))}}), encoding="utf-8")
    assert ended(config, tmp_path / "pins.json", "returns") == ["1"]
    assert farewell.exists()


CHAIN = """
import sys
from pathlib import Path
from langgraph_ratchet.tools.mcp import mcp_tools
mcp_tools(Path(sys.argv[1]), pins=Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_servers_that_start_one_another_end(tmp_path: Path, mark: str) -> None:
    """A server that uses the configuration which starts it would start another, and so on."""
    config, pins = tmp_path / "servers.json", tmp_path / "pins.json"
    entry = {
        "command": sys.executable,
        "args": ["-c", CHAIN, str(config), str(pins), mark],
        "env": {"PYTHONPATH": ":".join(sys.path)},
        "ratchet": {"start_timeout_s": 8},
    }
    config.write_text(json.dumps({"mcpServers": {"again": entry}}), encoding="utf-8")
    with pytest.raises(BadInputError, match="MCP server 'again' did not start within 8 seconds"):
        McpServers(config, pins=pins)
    assert gone(mark, 20)
