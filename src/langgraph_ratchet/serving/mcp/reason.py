"""`reason`: a run of the whole reasoning graph for an MCP client, with its progress and its requests for approval."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig, run_in_executor
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field

from langgraph_ratchet.core.errors import OverloadedError
from langgraph_ratchet.core.ids import clean_text, new_id
from langgraph_ratchet.core.step import Approval, Trust
from langgraph_ratchet.reasoning.attended import astream_attended
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.serving.mcp.offer import Arguments, Caller, Offer, Result

_OUTPUT_CHARS = 500
"""Of a tool's output in the result; the trace has all of it."""

_ADVICE = (
    "{} was not called: it needs an approval, and this MCP client has no way to ask for one (it offers no "
    "elicitation). Whoever runs the server can allow a tool by name with --allow; once a run has read other people's "
    "text it is asked for all the same."
)
_DESCRIPTION = (
    "Answer a question by reasoning step by step with tools, and check the answer. Takes seconds to minutes and tells "
    "its progress. Gives the answer, the probability that it is right, and the id of the run's trace."
)


class ReasonArguments(Arguments):
    """What to reason about."""

    question: Annotated[str, Field(min_length=1)]
    """The question, complete in itself: nothing of the conversation is seen but this."""
    context: str = ""
    """Text that the question is about."""
    strategy: str | None = None
    """How to reason: abductive, analogical, causal, deductive, direct, inductive; null lets the model select."""
    seed: int | None = None
    """Makes sampling repeatable."""


class ToolCallMade(Result):
    """A tool call of the run."""

    tool: str
    failed: bool
    """Whether it gave no result."""
    approval: str | None
    """"approved", "edited" or "rejected" by the user; "refused", because nobody could be asked; null: not needed."""
    output: str
    """The beginning of its result, or why there is none. Other people's text, if `untrusted`."""
    untrusted: bool


class ReasonResult(Result):
    """What came of a run."""

    answer: str | None
    """Null when there is none; then `error` says why."""
    confidence: float | None
    """Probability that the answer is right, by the model's own measure; null if it was not measured."""
    outcome: str
    """"answered", or how the run ended."""
    error: str | None
    strategy: str | None
    tool_calls: tuple[ToolCallMade, ...]
    advice: str | None
    """What to do so that a tool that was refused may act; null when none was."""
    trace_id: str
    """Id of the run's record: the tool `traces` shows it."""

    @property
    def failure(self) -> str | None:
        """Why there is no answer."""
        if self.answer is not None:
            return None
        return f"No answer ({self.outcome.replace('_', ' ')}): {self.error}. Trace: {self.trace_id}"


@dataclass
class Runs:
    """Runs the graph for many callers, a bounded number at a time. One event loop owns it.

    Args:
        make: makes the uncompiled graph, at the first call: that may load a model.
        running: runs at the same time.
        waiting: runs that wait for a place; one more is refused at once.
    """

    make: Callable[[], Any]
    running: int = 16
    waiting: int = 64
    taken: int = field(default=0, init=False)
    """Runs that go on or wait."""

    def __post_init__(self) -> None:
        self._graphs: dict[bool, Any] = {}
        self._saver = InMemorySaver()  # holds a run while it waits for an approval, and no longer
        self._places = asyncio.Semaphore(self.running)
        self._making = asyncio.Lock()

    async def run(self, asked: ReasonArguments, caller: Caller) -> ReasonResult:
        """A run from question to answer.

        Raises:
            OverloadedError: as many runs wait as may.
            RatchetError: the question cannot be taken, or the graph cannot be made.
        """
        context = Context(strategy=asked.strategy, seed=asked.seed)
        given = {"question": {"text": clean_text(asked.question), "context": clean_text(asked.context)}}
        config = RunnableConfig(configurable={"thread_id": new_id("run")})
        result: dict[str, Any] = {}
        done = 0
        async with self._place():
            graph = (await self._compiled())[caller.can_be_asked]
            try:
                async for mode, chunk in astream_attended(graph, given, caller.decide, config=config, context=context):
                    if mode == "values":
                        result = chunk
                        continue
                    for node, update in chunk.items():
                        done += 1
                        await caller.progress(done, _told(node, update or {}))
            finally:
                self._saver.delete_thread(config["configurable"]["thread_id"])
        return _result(result)

    @asynccontextmanager
    async def _place(self) -> Any:
        if self.taken >= self.running + self.waiting:
            raise OverloadedError(f"{self.taken} runs go on or wait, which is as many as may: ask again later")
        self.taken += 1
        try:
            async with self._places:
                yield
        finally:
            self.taken -= 1

    async def _compiled(self) -> dict[bool, Any]:
        """The graph, by whether a run may wait: without a checkpointer it does not, and refuses what needs approval."""
        async with self._making:
            if not self._graphs:
                made = await run_in_executor(None, self.make)
                for asks, saver in ((True, self._saver), (False, None)):
                    self._graphs[asks] = made.compile(checkpointer=saver, name="reasoner")
        return self._graphs


def reason_offer(runs: Runs) -> Offer:
    """The tool `reason(question, context, strategy, seed)`."""
    return Offer(
        name="reason",
        description=_DESCRIPTION,
        arguments=ReasonArguments,
        result=ReasonResult,
        call=runs.run,
        reads_only=False,  # its tools may write, each write being asked for
        closed=False,
    )


def _told(node: str, update: dict[str, Any]) -> str:
    """What a node did, in a line."""
    calls = [f"{step['tool']} {'failed' if step['failed'] else 'gave a result'}" for step in update.get("steps", ())]
    said = calls or update.get("plan") or [update.get("strategy") or update.get("answer") or ""]
    line = clean_text("; ".join(str(each) for each in said))
    return f"{node.replace('_', ' ')}: {line}"[:_OUTPUT_CHARS] if line else node.replace("_", " ")


def _result(state: dict[str, Any]) -> ReasonResult:
    refused = {step["tool"] for step in state.get("steps", ()) if step["approval"] == Approval.REFUSED.value}
    return ReasonResult(
        answer=state["answer"],
        confidence=state["confidence"],
        outcome=state["outcome"],
        error=state.get("error"),
        strategy=state.get("strategy"),
        tool_calls=tuple(
            ToolCallMade(
                tool=step["tool"],
                failed=step["failed"],
                approval=step["approval"],
                output=(step["output"] or "")[:_OUTPUT_CHARS],
                untrusted=step["trust"] == Trust.UNTRUSTED.value,
            )
            for step in state.get("steps", ())
            if step["tool"] is not None
        ),
        advice=_ADVICE.format(", ".join(sorted(refused))) if refused else None,
        trace_id=state["trace_id"],
    )
