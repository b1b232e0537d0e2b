"""Runs a node's body: calls the model and the tools for it, records, counts, and turns failures into outcomes.

The error policy of the graph, all in this file: a body that leaves with `RunEnded` gives an outcome; a chat model
that raises gives `model_failed`, if another try would be no use (`retry`); a tool never raises (`tools.runner`).
Anything else is a bug and propagates. Interrupts and Ctrl-C pass through untouched.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, ToolCall, convert_to_openai_messages
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime, get_runtime

from langgraph_ratchet.chat_models.calls.runs import RUN_KEY
from langgraph_ratchet.core.call import Call, CallKey, Sampling, Tokens, Usage
from langgraph_ratchet.core.errors import NotRecordedError
from langgraph_ratchet.core.ids import clean_json, clean_text, derive_seed, new_id
from langgraph_ratchet.core.question import Attachment, Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.approval import Ruling, has_read_untrusted, rule
from langgraph_ratchet.reasoning.budgets import RunEnded
from langgraph_ratchet.reasoning.context import Context, checked
from langgraph_ratchet.reasoning.request import Ask, Body, Reply, Request, Update, Used, UseTool
from langgraph_ratchet.reasoning.retry import is_retried
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState, Spent
from langgraph_ratchet.tools.runner import RunInfo, ToolResult, arun_tool, failed_result, run_tool

NodeFunction = Callable[[ReasoningState, Services, Context], Body]


def as_node(name: str, function: NodeFunction, services: Services) -> RunnableLambda[ReasoningState, Update]:
    """`function` as a LangGraph node with a sync and an async form."""

    def run(state: ReasoningState) -> Update:
        return _Execution.start(name, state, services).drive(function)

    async def arun(state: ReasoningState) -> Update:
        execution = await run_in_executor(None, _Execution.start, name, state, services)
        return await execution.adrive(function)

    return RunnableLambda(run, afunc=arun, name=name)


@dataclass(frozen=True)
class _Left:
    """A body that has ended, and what it leaves as state."""

    update: Update


def _advance(resume: Callable[[], Request]) -> Request | _Left:
    """Runs a body up to its next request, or to its end."""
    try:
        return resume()
    except StopIteration as stop:
        return _Left(stop.value)
    except RunEnded as ended:
        return _Left(ended.update)


def _end(error: RunEnded | NotRecordedError) -> RunEnded:
    return error if isinstance(error, RunEnded) else RunEnded(Outcome.NOT_RECORDED, clean_text(str(error)))


@dataclass
class _Execution:
    """One execution of one node."""

    node: str
    state: ReasoningState
    services: Services
    context: Context
    task_id: str
    attempt: int
    spent: Spent
    clock: float
    """Up to when time is counted in `spent`, Unix time in seconds."""
    call_ids: list[str] = field(default_factory=list)
    asked: int = 0
    model_version: str | None = None

    @classmethod
    def start(cls, node: str, state: ReasoningState, services: Services) -> "_Execution":
        runtime: Runtime[Context] = get_runtime(Context)
        context = checked(runtime.context)
        info = runtime.execution_info
        spent = state.get("spent") or Spent(calls=0, tool_calls=0, tokens=0, failures=0, seconds=0.0)
        return cls(
            node=node,
            state=state,
            services=services.under(context),
            context=context,
            task_id=info.task_id if info else new_id("task"),
            attempt=info.node_attempt if info else 1,
            spent=Spent(**spent),
            clock=time.time(),
            model_version=state.get("model_version"),
        )

    # Two thin forms of one loop: they differ only in how a request is carried out. In the async form all that may
    # touch a file (a body, the recorder) runs in a thread, so that the event loop never waits for a disk.

    def drive(self, function: NodeFunction) -> Update:
        body = function(self.state, self.services, self.context)
        step = _advance(lambda: next(body))
        while not isinstance(step, _Left):
            try:
                answer = self._perform(step)
            except (RunEnded, NotRecordedError) as ended:
                step = _advance(partial(body.throw, _end(ended)))  # it may have done something that must be kept
            else:
                step = _advance(partial(body.send, answer))
        return self._finish(step.update)

    async def adrive(self, function: NodeFunction) -> Update:
        body = function(self.state, self.services, self.context)
        step = await run_in_executor(None, _advance, lambda: next(body))
        while not isinstance(step, _Left):
            try:
                answer = await self._aperform(step)
            except (RunEnded, NotRecordedError) as ended:
                step = await run_in_executor(None, _advance, partial(body.throw, _end(ended)))
            else:
                step = await run_in_executor(None, _advance, partial(body.send, answer))
        return await run_in_executor(None, self._finish, step.update)

    def _finish(self, update: Update) -> Update:
        """Records the steps that the body took, and adds what the execution used to what it returned."""
        for index, step in enumerate(update.get("steps", [])):
            self.services.recorder.step(self.state["trace_id"], self.task_id, index, Step.model_validate(step))
        self._count_time()
        update = {"spent": self.spent, **update}
        if self.call_ids:
            update = {**update, "calls": self.call_ids, "model_version": self.model_version}
        return update

    def _perform(self, request: Request) -> Reply | Used:
        self._check()
        if isinstance(request, UseTool):
            ruling = self._ruling(request)
            return self._used(ruling, ruling.refusal or run_tool(*self._use(ruling)))
        started = time.perf_counter()
        try:
            message = self._model(request).invoke(request.messages, self._config, **self._sampling)
        except GraphBubbleUp:
            raise
        except Exception as error:
            raise self._failed(request, error, time.perf_counter() - started) from error
        return self._replied(request, message, time.perf_counter() - started)

    async def _aperform(self, request: Request) -> Reply | Used:
        self._check()
        if isinstance(request, UseTool):
            ruling = self._ruling(request)
            return self._used(ruling, ruling.refusal or await arun_tool(*self._use(ruling)))
        started = time.perf_counter()
        try:
            message = await self._model(request).ainvoke(request.messages, self._config, **self._sampling)
        except GraphBubbleUp:
            raise
        except Exception as error:
            seconds = time.perf_counter() - started
            raise await run_in_executor(None, self._failed, request, error, seconds) from error
        return await run_in_executor(None, self._replied, request, message, time.perf_counter() - started)

    def _model(self, request: Ask) -> Any:
        return self.services.acting_model if request.with_tools else self.services.model

    @property
    def _config(self) -> RunnableConfig:
        # Beside what the callbacks pass on already: the engine serves the runs that wait turn by turn.
        return RunnableConfig(metadata={RUN_KEY: self.state["trace_id"]})

    @property
    def _ordinal(self) -> int:
        """Position of the next call within the run."""
        return len(self.state.get("calls", [])) - self.state.get("first_call", 0) + self.asked

    @property
    def _sampling(self) -> dict[str, Any]:
        """Keyword arguments of the next call: only what the context asks for, since not every model takes them."""
        chosen: dict[str, Any] = {}
        if self.context.temperature is not None:
            chosen["temperature"] = self.context.temperature
        if self.context.seed is not None:
            question_id = Question.model_validate(self.state["question"]).id
            chosen["seed"] = derive_seed(self.context.seed, question_id, self.node, self._ordinal)
        return chosen

    def _check(self) -> None:
        self._count_time()
        self.services.budgets.check(self.spent)

    def _count_time(self) -> None:
        now = time.time()
        self.spent["seconds"] += max(0.0, now - self.clock)
        self.clock = now

    def _ruling(self, request: UseTool) -> Ruling:
        """Whether the call may be made; may interrupt the graph."""
        name = request.call["name"]
        if (tool := self.services.tools.get(name)) is not None:
            return rule(tool, request.call, self.state, self.services)
        known = ", ".join(self.services.tools) or "none"
        return Ruling(request.call, refusal=failed_result(f"there is no tool called {name!r}; tools: {known}"))

    def _use(self, ruling: Ruling) -> tuple[BaseTool, ToolCall, Sequence[Attachment], RunInfo]:
        """What the runner is given for a call that may be made."""
        attachments = Question.model_validate(self.state["question"]).attachments
        untrusted = has_read_untrusted(self.state)
        run = RunInfo(trace_id=self.state["trace_id"], started_at=self.state["started_at"], untrusted=untrusted)
        return self.services.tools[ruling.call["name"]], ruling.call, attachments, run

    def _used(self, ruling: Ruling, result: ToolResult) -> Used:
        self.spent["tool_calls"] += 1
        self.spent["failures"] = self.spent["failures"] + 1 if result.failed else 0
        return Used(ruling.call, result, ruling.approval)

    def _replied(self, request: Ask, message: AIMessage, seconds: float) -> Reply:
        metadata = message.response_metadata
        given = metadata.get("tokens")
        # Only our own engine's: what another provider keeps under this name is not ours to read.
        tokens = Tokens.model_validate(given) if isinstance(given, dict) and "completion_ids" in given else None
        usage = message.usage_metadata
        call = self._record(
            request,
            seconds,
            reply=_as_recorded(message),
            usage=Usage(input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"]) if usage else None,
            tokens=tokens,
        )
        self.call_ids.append(call.id)
        self.model_version = metadata.get("model_version")
        self.spent["calls"] += 1
        self.spent["tokens"] += usage["total_tokens"] if usage else 0
        return Reply(_plain(message), call.id, tokens.logprobs[0] if tokens and tokens.logprobs else None)

    def _failed(self, request: Ask, error: Exception, seconds: float) -> RunEnded:
        """The end of the run; raises `error` when LangGraph is to run the node again."""
        text = clean_text(f"{type(error).__name__}: {error}")
        self.call_ids.append(self._record(request, seconds, reply=None, error=text).id)
        if is_retried(self.node, error, self.attempt):
            raise error
        return RunEnded(Outcome.MODEL_FAILED, f"the chat model failed in {self.node}: {text}")

    def _record(self, request: Ask, seconds: float, **result: Any) -> Call:
        sampling = self._sampling
        call = Call(
            id=new_id("call"),
            key=CallKey(run_id=self.state["trace_id"], task_id=self.task_id, index=self.asked, attempt=self.attempt),
            node=self.node,
            revision=self.state.get("revisions", 0),
            messages=tuple(clean_json(convert_to_openai_messages(request.messages))),
            tools=self.services.offered if request.with_tools else (),
            sampling=Sampling(temperature=sampling.get("temperature"), seed=sampling.get("seed")),
            seconds=seconds,
            **result,
        )
        self.asked += 1
        return self.services.recorder.call(call)


def _plain(message: AIMessage) -> AIMessage:
    """The message without metadata: ids and log-probabilities live in the recorded call, not in every checkpoint."""
    return AIMessage(
        clean_json(message.content),
        id=message.id,
        tool_calls=clean_json(message.tool_calls),
        invalid_tool_calls=clean_json(message.invalid_tool_calls),
    )


def _as_recorded(message: AIMessage) -> dict[str, Any]:
    """The reply in OpenAI's shape; tool calls that could not be read stand in its text, as the model wrote them."""
    reply: dict[str, Any] = clean_json(convert_to_openai_messages([message])[0])
    if message.invalid_tool_calls:
        written = (str(call["args"] or call["name"] or "") for call in message.invalid_tool_calls)
        reply["content"] = clean_text("\n".join(filter(None, (str(message.text), *written))))
    return reply
