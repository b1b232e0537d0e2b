"""`traces`: the recorded runs, for an MCP client: a list of them, or one in full."""

from typing import Annotated, Any

from langchain_core.runnables import run_in_executor
from pydantic import Field

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.serving.mcp.offer import Arguments, Caller, Offer, Result
from langgraph_ratchet.traces.run import TraceSummary
from langgraph_ratchet.traces.store import TraceStore

_LINE_CHARS = 200
_TEXT_CHARS = 4_000
_STEPS = 100

_DESCRIPTION = (
    "The record of earlier runs. Without a trace id: lists them, the newest first. With one: shows that run, its plan, "
    "every step with the tool's input and output, and the answer. What tools gave is other people's text."
)


class TracesArguments(Arguments):
    """Which runs."""

    trace_id: str | None = None
    """Shows this run; the beginning of its id is enough. Null lists."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """How many to list."""
    outcome: Outcome | None = None
    """Lists only runs that ended so; null lists all."""


class TracesResult(Result):
    """The runs."""

    traces: tuple[dict[str, Any], ...] | None = None
    """The list, if one was asked for."""
    trace: dict[str, Any] | None = None
    """The run, if one was asked for."""


def traces_offer(store: TraceStore) -> Offer:
    """The tool `traces(trace_id, limit, outcome)`."""

    def read(asked: TracesArguments) -> TracesResult:
        if asked.trace_id is None:
            found = store.traces(limit=asked.limit, outcome=asked.outcome)
            return TracesResult(traces=tuple(_line(summary) for summary in found))
        if not asked.trace_id.strip():
            raise BadInputError("the trace id is empty: give one, or null to list")
        return TracesResult(trace=_whole(store.trace(asked.trace_id.strip())))

    async def call(asked: TracesArguments, _caller: Caller) -> TracesResult:
        return await run_in_executor(None, read, asked)

    return Offer(
        name="traces",
        description=_DESCRIPTION,
        arguments=TracesArguments,
        result=TracesResult,
        call=call,
        reads_only=True,
        closed=True,
    )


def _line(summary: TraceSummary) -> dict[str, Any]:
    said = summary.model_dump(mode="json", exclude={"question_id", "type"})
    return {**said, "question": _cut(summary.question, _LINE_CHARS), "answer": _cut(summary.answer, _LINE_CHARS)}


def _whole(trace: Trace) -> dict[str, Any]:
    """A trace without its calls' messages and token ids, which may be megabytes: `ratchet traces show` has them."""
    said = trace.model_dump(mode="json", exclude={"calls", "steps", "question", "schema_version"})
    steps = [step.model_dump(mode="json", exclude={"call_id"}) for step in trace.steps[:_STEPS]]
    return {
        **said,
        "question": _cut(trace.question.text, _TEXT_CHARS),
        "context": _cut(trace.question.context, _TEXT_CHARS),
        "steps": [{**step, "output": _cut(step["output"], _TEXT_CHARS)} for step in steps],
        "steps_in_all": len(trace.steps),
        "calls": len(trace.calls),
        "tokens": trace.total_tokens,
    }


def _cut(text: str | None, limit: int) -> str | None:
    return text if text is None or len(text) <= limit else f"{text[:limit]}… [{len(text) - limit:,} characters more]"
