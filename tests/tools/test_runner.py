import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, ToolException
from langgraph.errors import GraphInterrupt
from langgraph.types import Command

from langgraph_ratchet.core.question import Attachment
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.runner import ToolResult, arun_tool, failed_result, run_tool
from langgraph_ratchet.tools.spec import ToolSpec

Run = Callable[..., ToolResult]


def invoke(tool: BaseTool, attachments: Sequence[Attachment] = (), **arguments: Any) -> ToolResult:
    return run_tool(tool, ToolCall(name=tool.name, args=arguments, id="1"), attachments)


def ainvoke(tool: BaseTool, attachments: Sequence[Attachment] = (), **arguments: Any) -> ToolResult:
    return asyncio.run(arun_tool(tool, ToolCall(name=tool.name, args=arguments, id="1"), attachments))


@pytest.fixture(params=[invoke, ainvoke], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both forms of the runner: they must not differ in anything."""
    form: Run = request.param
    return form


def tool_of(function: Callable[..., Any], **spec: Any) -> StructuredTool:
    """`function`, sync or async, as a tool called `probe`."""
    declared = ToolSpec(**{"timeout_s": 5.0, "output_cap": 100, "trust": Trust.OWN, **spec})
    kind = "coroutine" if asyncio.iscoroutinefunction(function) else "func"
    return StructuredTool.from_function(
        **{kind: function}, name="probe", description="A probe.", metadata=declared.metadata()
    )


def double(n: int) -> int:
    return 2 * n


async def double_later(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@pytest.mark.parametrize("function", [double, double_later])
def test_a_result_becomes_text(run: Run, function: Callable[..., Any]) -> None:
    result = run(tool_of(function), n=21)
    assert (result.text, result.failed, result.trust) == ("42", False, Trust.OWN)
    assert 0 < result.seconds < 5


def test_a_tool_that_raises_gives_one_short_line(run: Run) -> None:
    def burst(n: int) -> int:
        raise RuntimeError("first line\nsecond line " + "x" * 10_000_000)

    result = run(tool_of(burst), n=1)
    assert result.failed
    assert result.text.startswith("error: probe failed: RuntimeError: first line second line xxx")
    assert len(result.text) < 320


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_tool_cannot_end_the_process(run: Run, error: BaseException) -> None:
    def leave(n: int) -> int:
        raise error

    result = run(tool_of(leave), n=1)
    assert result.failed
    assert type(error).__name__ in result.text


def test_a_tool_error_is_given_as_it_was_worded(run: Run) -> None:
    def refuse(n: int) -> int:
        raise ToolException("n is too small")

    assert run(tool_of(refuse), n=1).text == "error: n is too small"
    handled = tool_of(refuse).model_copy(update={"handle_tool_error": True})
    assert run(handled, n=1).text == "error: n is too small"
    assert run(handled, n=1).failed


def test_a_tool_that_hangs_is_left_behind(run: Run) -> None:
    release = threading.Event()

    def hang(n: int) -> int:
        release.wait(30)
        return n

    started = time.perf_counter()
    result = run(tool_of(hang, timeout_s=0.2), n=1)
    release.set()
    assert result.text == "error: probe gave no result in 0.2 seconds"
    assert result.failed
    assert 0.2 <= result.seconds <= time.perf_counter() - started < 3


def test_an_async_tool_that_hangs_is_left_behind(run: Run) -> None:
    async def hang(n: int) -> int:
        await asyncio.sleep(30)
        return n

    result = run(tool_of(hang, timeout_s=0.2), n=1)
    assert result.text == "error: probe gave no result in 0.2 seconds"


def test_a_timeout_of_the_tool_itself_is_told_apart(run: Run) -> None:
    def late(n: int) -> int:
        raise TimeoutError

    assert run(tool_of(late), n=1).text.startswith("error: probe failed: TimeoutError")


@pytest.mark.parametrize("form", ["run_tool", "arun_tool"])
def test_a_hung_tool_does_not_keep_the_process_alive(form: str) -> None:
    code = f"""
import asyncio, threading
from langchain_core.tools import StructuredTool
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.runner import arun_tool, run_tool
from langgraph_ratchet.tools.spec import ToolSpec
def hang() -> str:
    "Hang."
    threading.Event().wait()
spec = ToolSpec(timeout_s=0.1, output_cap=9, trust=Trust.OWN)
tool = StructuredTool.from_function(hang, metadata=spec.metadata())
result = {form}(tool, dict(name="hang", args={{}}, id="1", type="tool_call"))
print((asyncio.run(result) if asyncio.iscoroutine(result) else result).failed)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == b"True"


def test_ten_megabytes_are_cut_with_a_note(run: Run) -> None:
    def flood(n: int) -> str:
        return "x" * n

    result = run(tool_of(flood), n=10_000_000)
    assert result.text == "x" * 100 + "… [cut: 9999900 characters]"
    assert not result.failed


def test_text_that_no_store_can_hold_is_cleaned(run: Run) -> None:
    def dirty(text: str) -> str:
        return f"{text}\x00 \udc00"

    result = run(tool_of(dirty), text="a\ud800b")
    assert result.text == "a\ufffdb \ufffd"
    json.dumps(result.model_dump(mode="json")).encode()
    assert result.text.encode("utf-8")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "bad arguments for probe: n: Field required"),
        ({"n": "many"}, "bad arguments for probe: n: Input should be a valid integer"),
        ({"n": 1, "m": 2}, "probe has no argument 'm'; it takes n"),
        ({"n": 1, "y" * 10_000: 2}, "probe has no argument"),
    ],
)
def test_bad_arguments_are_named(run: Run, arguments: dict[str, Any], why: str) -> None:
    result = run(tool_of(double), **arguments)
    assert result.failed
    assert result.text.startswith(f"error: {why}")
    assert "\n" not in result.text
    assert len(result.text) < 320


def test_what_is_made_of_attachments_is_other_peoples_text(run: Run) -> None:
    def read(n: int, attachments: Annotated[Sequence[Attachment], InjectedToolArg] = ()) -> str:
        return " ".join(item.text for item in attachments)

    tool = tool_of(read, trust=Trust.OWN)
    assert run(tool, (Attachment(name="a", text="b"),), n=1).trust is Trust.UNTRUSTED
    assert run(tool, n=1).trust is Trust.OWN
    assert run(tool_of(double), (Attachment(name="a", text="b"),), n=1).trust is Trust.OWN


def test_attachments_go_only_to_a_tool_that_asks_for_them(run: Run) -> None:
    given = (Attachment(name="a", text="one"), Attachment(name="b", text="two"))

    def hidden(n: int, attachments: Annotated[Sequence[Attachment], InjectedToolArg] = ()) -> str:
        return " ".join(item.text for item in attachments)

    def open_to_the_model(n: int, attachments: Sequence[str] = ("none",)) -> str:
        return " ".join(attachments)

    assert run(tool_of(hidden), given, n=1).text == "one two"
    assert run(tool_of(open_to_the_model), given, n=1).text == "none"
    mine = ToolCall(name="probe", args={"n": 1, "attachments": ["mine"]}, id="1")
    assert run_tool(tool_of(open_to_the_model), mine, given).text == "mine"
    assert run(tool_of(double), given, n=1).text == "2"


def test_a_tool_of_other_makes_runs_too(run: Run) -> None:
    class Blocks(BaseTool):
        name: str = "blocks"
        description: str = "Content blocks."

        def _run(self, n: int) -> list[dict[str, str]]:
            return [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    by_dict = StructuredTool(name="probe", description="A probe.", args_schema=schema, func=double)
    result = run(Blocks(), n=1)
    assert (result.text, result.trust) == ("one\ntwo", Trust.UNTRUSTED)
    assert run(by_dict, n=4).text == "8"


def test_a_command_cannot_be_used(run: Run) -> None:
    def jump(n: int) -> Command[Any]:
        return Command(goto="elsewhere")

    result = run(tool_of(jump), n=1)
    assert result.failed
    assert "Command" in result.text


def test_an_interrupt_reaches_the_graph(run: Run) -> None:
    def ask(n: int) -> int:
        raise GraphInterrupt()

    with pytest.raises(GraphInterrupt):
        run(tool_of(ask), n=1)


async def test_cancelling_the_caller_cancels_an_async_tool() -> None:
    cancelled = asyncio.Event()

    async def hang(n: int) -> int:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return n

    task = asyncio.create_task(arun_tool(tool_of(hang), ToolCall(name="probe", args={"n": 1}, id="1")))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(cancelled.wait(), 2)


async def test_a_sync_tool_does_not_block_the_event_loop() -> None:
    def slow(n: int) -> int:
        time.sleep(0.3)
        return n

    call = ToolCall(name="probe", args={"n": 1}, id="1")
    started = time.perf_counter()
    results = await asyncio.gather(*(arun_tool(tool_of(slow), call) for _ in range(5)))
    assert [result.text for result in results] == ["1"] * 5
    assert time.perf_counter() - started < 1.2


def test_a_reason_becomes_a_result() -> None:
    result = failed_result("there is no tool called 'x\ud800'\n")
    assert result.text == "error: there is no tool called 'x\ufffd'"
    assert result.failed
