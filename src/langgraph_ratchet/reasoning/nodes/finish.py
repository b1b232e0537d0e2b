"""Ends the run: every run comes here, answered or not, and leaves one trace."""

import logging
import time

from langchain_core.messages import AIMessage

from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.reasoning.approval import has_read_untrusted
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.request import Body
from langgraph_ratchet.reasoning.reruns import is_rerun
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.tools.memory import Memory
from langgraph_ratchet.tools.memory.experience import remember_run

_LOG = logging.getLogger(__name__)


def finish(state: ReasoningState, services: Services, context: Context) -> Body:
    """Writes the trace and says the answer, or why there is none, as a message."""
    yield from ()
    outcome = Outcome(state.get("outcome") or Outcome.ANSWERED)
    answer = state.get("answer") if outcome == Outcome.ANSWERED else None
    confidence = state.get("confidence") if outcome == Outcome.ANSWERED else None
    call_ids = state.get("calls", [])[state.get("first_call", 0) :]
    calls = services.recorder.calls(call_ids, run_id=state["trace_id"])
    steps = state.get("steps", [])[state.get("first_step", 0) :]
    trace = Trace(
        id=state["trace_id"],
        question=Question.model_validate(state["question"]),
        model=services.model_name,
        model_version=state.get("model_version"),
        strategy=state.get("strategy"),
        plan=tuple(state.get("plan", [])),
        steps=tuple(Step.model_validate(step) for step in steps),
        calls=calls,
        answer=answer,
        confidence=confidence,
        outcome=outcome,
        error=state.get("error"),
        revisions=state.get("revisions", 0),
        started_at=state["started_at"],
        seconds=time.time() - state["started_at"],
        code_version=services.code_version,
    )
    services.recorder.finish(trace)
    _remember(trace, state, services)
    text = answer if answer is not None else f"No answer ({outcome.value}): {state.get('error')}"
    return {"messages": [AIMessage(text)], "answer": answer, "confidence": confidence, "outcome": outcome.value}


def _remember(trace: Trace, state: ReasoningState, services: Services) -> None:
    """Keeps the run as an experience where memory is to; never what untrusted text may have brought about."""
    memory = services.memory
    if not isinstance(memory, Memory) or not memory.keep_experiences or is_rerun() or has_read_untrusted(state):
        return
    try:
        remember_run(memory, trace)
    except RatchetError as error:
        _LOG.warning("run %s is not remembered: %s", trace.id, error)
