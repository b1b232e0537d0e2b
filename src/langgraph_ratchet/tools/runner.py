"""Runs one tool call. Whatever the tool does (raise, hang, return 10 MB), the outcome is a short text.

A tool that runs past its time is abandoned, not killed: Python cannot stop a thread. Its thread is a daemon, so it
does not keep the process alive; what it still does goes nowhere.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextvars import Context, ContextVar, copy_context
from typing import Any

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, Tool, ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command
from pydantic import BaseModel, ValidationError

from langgraph_ratchet.core.errors import NotRecordedError
from langgraph_ratchet.core.ids import clean_json, clean_text
from langgraph_ratchet.core.noun import Noun
from langgraph_ratchet.core.question import Attachment
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import ToolSpec, faults_of, spec_of

_ERROR_CHARS = 300


class RunInfo(Noun):
    """What a tool is told about the run that calls it, if it declares an injected `run`."""

    trace_id: str
    started_at: float
    """Unix time, seconds."""
    untrusted: bool
    """Whether the model has read other people's text in this run, so that it may be doing what that text wants."""


_calling: ContextVar[RunInfo | None] = ContextVar("ratchet_calling_run", default=None)


def calling_run() -> RunInfo | None:
    """Within a tool: the run that calls it. A run within that tool has read what its caller has."""
    return _calling.get()


class ToolResult(Noun):
    """What came of a tool call."""

    text: str
    """The output, cut at the tool's cap; when `failed`, one line that starts with "error:"."""
    failed: bool
    seconds: float
    """Wall time, the time limit included."""
    trust: Trust
    """Trust of `text`."""


class _TooLateError(Exception):
    """The tool's time is over. Not `TimeoutError`: a tool may raise that itself."""


def failed_result(reason: str, *, seconds: float = 0.0, trust: Trust = Trust.OWN) -> ToolResult:
    """The result of a call that gave none: `reason` as one line of at most 300 characters."""
    line = " ".join(clean_text(reason[: 4 * _ERROR_CHARS]).split())
    line = line if len(line) <= _ERROR_CHARS else line[:_ERROR_CHARS] + "…"
    return ToolResult(text=f"error: {line}", failed=True, seconds=seconds, trust=trust)


def run_tool(
    tool: BaseTool, call: ToolCall, attachments: Sequence[Attachment] = (), run: RunInfo | None = None
) -> ToolResult:
    """Runs `tool` with the call's arguments, in a thread of its own and within its time.

    Args:
        tool: sync or async; an async tool gets an event loop of its own.
        call: what the model asked for.
        attachments: the question's; only a tool that declares an injected `attachments` gets them.
        run: the run; only a tool that declares an injected `run` gets it.

    Raises:
        GraphBubbleUp: the tool interrupts the graph; nothing else is raised for what a tool does.
        NotRecordedError: the tool stands in for another one (`tools.replay`) and knows no result.
    """
    spec, started = _spec(tool, attachments), time.perf_counter()
    try:
        request = _request(tool, call, {"attachments": tuple(attachments), "run": run})
        if _is_async_only(tool):
            future = _in_thread(lambda: asyncio.run(tool.ainvoke(request)), run)
        else:
            future = _in_thread(lambda: tool.invoke(request), run)
        if not wait({future}, timeout=spec.timeout_s).done:
            raise _TooLateError
        output = future.result()
    except (GraphBubbleUp, NotRecordedError):
        raise
    except Exception as error:
        return _failed(tool, spec, error, started)
    return _finished(spec, output, started)


async def arun_tool(
    tool: BaseTool, call: ToolCall, attachments: Sequence[Attachment] = (), run: RunInfo | None = None
) -> ToolResult:
    """`run_tool` for async callers: an async tool runs on the caller's event loop, a sync one in a thread."""
    spec, started = _spec(tool, attachments), time.perf_counter()
    try:
        request = _request(tool, call, {"attachments": tuple(attachments), "run": run})
        if _is_async(tool):
            loop = asyncio.get_running_loop()
            work: asyncio.Future[Any] = loop.create_task(tool.ainvoke(request), context=_context(run))
        else:
            # Not the loop's executor: it waits at shutdown for its threads, and so for a tool that hangs.
            work = asyncio.wrap_future(_in_thread(lambda: tool.invoke(request), run))
        output = await _within(work, spec.timeout_s)
    except (GraphBubbleUp, NotRecordedError):
        raise
    except Exception as error:
        return _failed(tool, spec, error, started)
    return _finished(spec, output, started)


def _spec(tool: BaseTool, attachments: Sequence[Attachment]) -> ToolSpec:
    """What `tool` declares; but what it makes of attachments is other people's text."""
    spec = spec_of(tool)
    schema = tool.args_schema
    if not attachments or not isinstance(schema, type) or not issubclass(schema, BaseModel):
        return spec
    takes_them = "attachments" in _parameters(schema)[1]
    return spec.model_copy(update={"trust": Trust.UNTRUSTED}) if takes_them else spec


def _request(tool: BaseTool, call: ToolCall, offered: dict[str, Any]) -> dict[str, Any]:
    """The call with clean and known arguments, and of what is offered what the tool declares as injected."""
    arguments: dict[str, Any] = clean_json(call["args"])
    schema = tool.args_schema or tool.get_input_schema()
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        visible, injected = _parameters(schema)
        unknown = [name for name in arguments if name not in visible]
        if unknown and schema.model_config.get("extra") != "allow":
            takes = ", ".join(visible) or "no arguments"
            raise ToolException(f"{tool.name} has no argument '{unknown[0][:40]}'; it takes {takes}")
        arguments |= {name: offered[name] for name in injected if name in offered}
    return {"type": "tool_call", "name": tool.name, "args": arguments, "id": call.get("id") or "call"}


def faults_in(tool: BaseTool, call: ToolCall) -> str | None:
    """What is wrong with the arguments of a call of `tool`, as far as its schema says; `None` if nothing is."""
    schema = tool.tool_call_schema
    try:
        _request(tool, call, {})
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            schema.model_validate(call["args"])
    except ToolException as error:
        return str(error)
    except ValidationError as error:
        return f"bad arguments for {tool.name}: {faults_of(error)}"
    return None


def _parameters(schema: type[BaseModel]) -> tuple[list[str], list[str]]:
    """Names of the parameters that the model fills in, and of those that are injected."""
    visible: list[str] = []
    injected: list[str] = []
    for name, field in schema.model_fields.items():
        hidden = any(
            isinstance(mark, InjectedToolArg) or (isinstance(mark, type) and issubclass(mark, InjectedToolArg))
            for mark in field.metadata
        )
        (injected if hidden else visible).append(name if hidden else field.alias or name)
    return visible, injected


def _is_async(tool: BaseTool) -> bool:
    if isinstance(tool, (StructuredTool, Tool)):
        return tool.coroutine is not None
    return type(tool)._arun is not BaseTool._arun


def _is_async_only(tool: BaseTool) -> bool:
    return isinstance(tool, (StructuredTool, Tool)) and tool.func is None and tool.coroutine is not None


def _context(run: RunInfo | None) -> Context:
    """The caller's context variables (callbacks, the graph's config), and the run."""
    context = copy_context()
    if run is not None:
        context.run(_calling.set, run)
    return context


def _in_thread(work: Callable[[], Any], run: RunInfo | None) -> "Future[Any]":
    """`work` in a daemon thread that sees the caller's context."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    context = _context(run)

    def execute() -> None:
        try:
            future.set_result(context.run(work))
        except Exception as error:
            future.set_exception(error)
        except BaseException as error:  # SystemExit: a tool must not end the caller's run
            future.set_exception(RuntimeError(f"the tool raised {type(error).__name__}"))

    threading.Thread(target=execute, daemon=True, name="ratchet-tool").start()
    return future


async def _within(work: "asyncio.Future[Any]", timeout_s: float) -> Any:
    """Like `asyncio.wait_for`, but does not wait for work that swallows its cancellation."""
    try:
        done, _ = await asyncio.wait({work}, timeout=timeout_s)
    except asyncio.CancelledError:
        work.cancel()
        raise
    if not done:
        work.cancel()
        raise _TooLateError
    return work.result()


def _finished(spec: ToolSpec, output: Any, started: float) -> ToolResult:
    seconds = time.perf_counter() - started
    if isinstance(output, Command):
        return failed_result("the tool returned a Command, only texts can be used", seconds=seconds, trust=spec.trust)
    text = _text(output)
    if isinstance(output, ToolMessage) and output.status == "error":
        return failed_result(text, seconds=seconds, trust=spec.trust)
    # Tools whose outputs differ in trust say it of each, as their artifact; of all others the spec says it.
    said = output.artifact if isinstance(output, ToolMessage) else None
    trust = said if isinstance(said, Trust) else spec.trust
    return ToolResult(text=_cut(text, spec.output_cap), failed=False, seconds=seconds, trust=trust)


def _text(output: Any) -> str:
    if not isinstance(output, ToolMessage):
        return str(output)
    if isinstance(output.content, str):
        return output.content
    parts = [part if isinstance(part, str) else str(part.get("text", part)) for part in output.content]
    return "\n".join(parts)


def _cut(text: str, cap: int) -> str:
    if len(text) <= cap:
        return clean_text(text)
    return f"{clean_text(text[:cap])}… [cut: {len(text) - cap} characters]"


def _failed(tool: BaseTool, spec: ToolSpec, error: Exception, started: float) -> ToolResult:
    if isinstance(error, _TooLateError):
        reason = f"{tool.name} gave no result in {spec.timeout_s:g} seconds"
    elif isinstance(error, ValidationError):
        reason = f"bad arguments for {tool.name}: {faults_of(error)}"
    elif isinstance(error, ToolException):
        reason = str(error)
    else:
        reason = f"{tool.name} failed: {type(error).__name__}: {error}"
    return failed_result(reason, seconds=time.perf_counter() - started, trust=spec.trust)
