"""The tool `python`, as a model meets it: through the runner."""

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.core.errors import SandboxError
from langgraph_ratchet.core.sandbox import Limits, find_sandbox
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.python import python_tool
from langgraph_ratchet.tools.runner import ToolResult, arun_tool, run_tool
from langgraph_ratchet.tools.spec import Effect, spec_of


@pytest.fixture(autouse=True)
def needs_a_sandbox(request: pytest.FixtureRequest) -> None:
    try:
        find_sandbox()
    except SandboxError as error:
        pytest.skip(f"not verified here: {request.node.name} ({error})")


def call(**arguments: Any) -> ToolCall:
    return ToolCall(name="python", args=arguments, id="1")


def run(code: str, **limits: Any) -> ToolResult:
    return run_tool(python_tool(Limits(**limits)), call(code=code))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("sum(range(10))", "45"),
        ("print(1)\nprint(2)", "1\n2"),
        ("x = 1", "no output: print what is wanted, or end with an expression"),
        ("1/0", 'Traceback (most recent call last):\n  File "<code>", line 1, in <module>\n    1/0\n    ~^~\n'
                "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_it_gives_what_a_prompt_shows(code: str, text: str) -> None:
    result = run(code)
    assert (result.text, result.failed, result.trust) == (text, False, Trust.OWN)


@pytest.mark.parametrize(
    ("code", "limits", "said"),
    [
        ("", {}, "the code is empty"),
        (" \n", {}, "the code is empty"),
        ("x" * 20_001, {}, "the code has 20001 characters, at most 20000 are allowed"),
        ("9**9**9", {"wall_s": 0.5}, "the code was stopped after 0.5 seconds"),
        ("print('one')\nwhile True: pass", {"wall_s": 1}, "the code was stopped after 1 seconds; it had written: one"),
        ("while True: print('x')", {"output_bytes": 9}, "the code was stopped: it wrote more than 9 bytes; it had "
                                                        "written: x x x x x"),
        ("import os\nfor n in range(999): os.mkdir(str(n))\n9**9**9", {"files": 9},
         "the code was stopped: it made more than 9 files"),
        ("import ctypes\nctypes.string_at(0)", {}, "the code died of SIGSEGV"),
    ],
)  # fmt: skip
def test_what_is_refused_or_stopped_is_said_in_a_line(code: str, limits: dict[str, Any], said: str) -> None:
    result = run(code, **limits)
    assert (result.text, result.failed) == (f"error: {said}", True)


def test_long_output_keeps_its_beginning_and_its_end() -> None:
    result = run("for n in range(9999): print(n)\nraise ValueError('last')")
    assert len(result.text) == 8_000
    assert result.text.startswith("0\n1\n2\n")
    assert "\n… [cut: 4" in result.text
    assert result.text.endswith("ValueError: last")


def test_it_declares_that_it_executes() -> None:
    (tool,) = get_tools("python")
    assert spec_of(tool).effects == {Effect.EXECUTES}
    assert "python" not in {tool.name for tool in get_tools()}


def test_the_runners_time_is_longer_than_the_codes() -> None:
    assert spec_of(python_tool(Limits(wall_s=100))).timeout_s > 130


async def test_the_loop_goes_on_meanwhile() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    result = await arun_tool(python_tool(), call(code="import time; time.sleep(0.3); 'slept'"))
    ticking.cancel()
    assert result.text == "'slept'"
    assert ticks > 5


def test_many_at_once_get_their_own_answers_and_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    from langgraph_ratchet.tools import python

    monkeypatch.setattr(python, "_places", threading.BoundedSemaphore(2))
    running = most = 0
    counting = threading.Lock()
    answers: dict[int, str] = {}
    box = find_sandbox()

    class Counted:
        def run(self, code: str, limits: Limits) -> Any:
            nonlocal running, most
            with counting:
                running += 1
                most = max(most, running)
            try:
                return box.run(code, limits)
            finally:
                with counting:
                    running -= 1

    monkeypatch.setattr(python, "find_sandbox", Counted)

    def ask(number: int) -> None:
        answers[number] = run(f"open('kept', 'x').close()\n{number} * 2").text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(2 * number) for number in range(8)}
    assert most == 2


def test_who_waits_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from langgraph_ratchet.tools import python

    monkeypatch.setattr(python, "_QUEUE_S", 0.05)
    monkeypatch.setattr(python, "_places", threading.BoundedSemaphore(1))
    with python._places:
        result = run("1")
    assert result.text == "error: other code was still running after 0.05 seconds: nothing was run"
    assert run("1").text == "1"
