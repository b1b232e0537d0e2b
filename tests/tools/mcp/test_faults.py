"""A server that misbehaves costs an error text within its time; nothing of it is left, and the next call works."""

import resource
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from tests.tools.mcp.processes import Do, Entry, Start, descriptors, gone, lives, processes, soon

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.runner import run_tool

QUICK = {"call_timeout_s": 2.5}
SOON = {"call_timeout_s": 0.6}


@pytest.mark.parametrize(
    ("action", "value", "why"),
    [
        ("die", None, "failed: it ended with status 3 and said: dying \\x1b[31mwords; the next call starts it anew"),
        ("garbage", None, "failed: it sends what is no message: b'\\xff\\xfe not a message"),
        ("flood", 100 << 20, "failed: it sent a line of more than 4194304 bytes"),
        ("large", 5 << 20, "failed: it sent a line of more than 4194304 bytes"),
        ("notify", None, "failed: it sent more than"),
    ],
)
def test_a_call_fails_at_once_and_the_next_one_works(do: Do, mark: str, action: str, value: Any, why: str) -> None:
    assert do("count", rules={"call_timeout_s": 20}).text == "1"
    result = do(action, value)
    assert result.failed
    assert result.text.startswith("error: MCP server 's' ")
    assert why in result.text
    assert result.seconds < 10  # of 20
    assert "\n" not in result.text
    assert result.trust == Trust.UNTRUSTED
    assert do("count").text == "1"  # another process, which has counted this call alone
    assert len(processes(mark)) == 1


@pytest.mark.parametrize("action", ["hang", *(pytest.param(name, marks=pytest.mark.slow) for name in ("list", "deep"))])
def test_a_call_without_an_answer_fails_in_time(do: Do, action: str) -> None:
    assert do("count", rules=SOON).text == "1"
    result = do(action)
    assert "gave no result within 0.6 seconds" in result.text
    assert 0.5 < result.seconds < 2


def test_a_server_that_hangs_is_gone_soon_after(do: Do, mark: str) -> None:
    assert do("hang", rules=SOON).failed
    assert gone(mark)


@pytest.mark.slow
def test_a_call_after_one_that_hung_works(do: Do) -> None:
    assert do("hang", rules=QUICK).failed
    assert do("count").text == "1"


def test_a_server_that_is_only_slow_is_kept(do: Do) -> None:
    pid = do("pid", rules=SOON, parallel=True).text
    assert do("slow", 0.8).failed
    assert do("pid").text == pid


def test_a_hundred_megabytes_do_not_fill_memory(do: Do) -> None:
    do("count")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        assert do("flood", 100 << 20).failed
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 << 10  # KiB


def test_what_a_server_has_started_goes_with_it(do: Do, mark: str) -> None:
    child = int(do("child").text)
    assert lives(child)
    # It holds the server's output open, which therefore does not end.
    assert "ended with status 3" in do("die").text
    assert gone(mark)
    assert soon(lambda: not lives(child))


def test_some_lines_that_are_no_messages_are_passed_over(do: Do) -> None:
    assert do("some_garbage").text == "after some garbage"


def test_a_client_offers_a_server_nothing(do: Do) -> None:
    assert do("ask").text == str(["not offered"] * 4)


def test_an_error_of_the_protocol_keeps_the_server(do: Do) -> None:
    pid = do("pid").text
    assert do("no such action").text == "error: MCP server 's' answered with an error: KeyError: 'no such action'"
    assert do("pid").text == pid


@pytest.mark.slow
def test_no_descriptor_is_left_of_many_failures(do: Do) -> None:
    for _ in range(2):
        do("die")
    before = descriptors()
    for _ in range(10):
        assert do("die").failed
    assert descriptors() <= before + 1


def test_one_server_that_fails_does_not_take_another_along(start: Start, plain: Entry) -> None:
    one, other = start(one=plain(), other=plain()).tools
    pid = run_tool(other, ToolCall(name="other__do", args={"action": "pid"}, id="1")).text
    assert run_tool(one, ToolCall(name="one__do", args={"action": "die"}, id="1")).failed
    assert run_tool(other, ToolCall(name="other__do", args={"action": "pid"}, id="1")).text == pid


@pytest.mark.parametrize(
    ("orders", "why"),
    [
        ({"start": "dies"}, "MCP server 's' failed: it ended with status 1 and said: nothing works here"),
        ({"start": "silent", "rules": {"start_timeout_s": 0.3}}, "MCP server 's' did not start within 0.3 seconds"),
        ({"start": "endless list"}, "MCP server 's' lists its tools on more than 32 pages"),
        ({"tools": [{"name": "a"}]}, "MCP server 's' failed: it answered with what is no answer to the question"),
        ({"tools": 3}, "MCP server 's' failed: it answered with what is no answer to the question"),
        (
            {"rules": {"tools": {"do": {"targets": ["url"]}}}},
            "its tool 'do' has no argument 'url', which targets names",
        ),
        ({"rules": {"tools": {"other": {}}}}, "MCP server 's' has no tool 'other', which ratchet.tools names"),
    ],
)
def test_a_server_that_cannot_be_used_is_an_error_at_the_start(
    start: Start, plain: Entry, mark: str, orders: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadInputError) as raised:
        start(good=plain(), s=plain(**orders))
    assert why in str(raised.value)
    assert gone(mark)  # the good one too


def test_a_program_that_is_none_says_so(start: Start, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("not a program\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(BadInputError, match="MCP server 's' failed: OSError: .*Exec format error"):
        start(s={"command": str(program)})
    program.write_text("#!/usr/bin/env no-such-interpreter\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"status 127 and said: .*no-such-interpreter.*what env names"):
        start(s={"command": str(program)})


@pytest.mark.slow
def test_a_server_that_wants_to_stay_is_killed(start: Start, plain: Entry, mark: str) -> None:
    servers = start(s=plain(start="stays"))
    started = time.monotonic()
    servers.close()
    assert not processes(mark)
    assert time.monotonic() - started < 10
