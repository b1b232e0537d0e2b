"""Takes the question in: checks it once, cleans it, and starts the run's record."""

import time
from typing import Any

from pydantic import ValidationError

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import clean_json, new_id
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.request import Body
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState, Spent
from langgraph_ratchet.reasoning.strategy import get_strategy
from langgraph_ratchet.tools.runner import calling_run
from langgraph_ratchet.tools.spec import spec_of


def accept(state: ReasoningState, services: Services, context: Context) -> Body:
    """Raises `BadInputError` for a question that is missing, empty, too long or not a question."""
    question = _read(state)
    length = len(question.text) + len(question.context)
    if length > services.budgets.question_chars:
        raise BadInputError(
            f"the question has {length:,} characters with its context, the limit is "
            f"{services.budgets.question_chars:,}: attach long texts, or raise Budgets.question_chars"
        )
    if context.strategy is not None:
        get_strategy(context.strategy)
    trace_id = context.trace_id or new_id("trace")
    started_at = time.time()
    messages = state.get("messages")
    services.recorder.start(trace_id, question, services.model_name, started_at)
    yield from ()
    # Every key that a run sets is reset: a thread that is invoked again starts a new run in the same state.
    return {
        "question": question.model_dump(mode="json"),
        "trace_id": trace_id,
        "started_at": started_at,
        "spent": Spent(calls=0, tool_calls=0, tokens=0, failures=0, seconds=0.0),
        "untrusted": _begins_untrusted(question, services),
        "accepted_message": messages[-1].id if messages else None,
        "plan": [],
        "planned_at": len(state.get("steps", [])),
        "first_step": len(state.get("steps", [])),
        "first_call": len(state.get("calls", [])),
        "transcript": [],
        "conclusion": "",
        "feedback": "",
        "strategy": None,
        "model_version": None,
        "revisions": 0,
        "answer": None,
        "confidence": None,
        "outcome": None,
        "error": None,
    }


def _begins_untrusted(question: Question, services: Services) -> bool:
    """Whether what the model is shown at the start may hold other people's text.

    So may a context, and what the servers of tools say of them; and the question of a run that is a tool of another
    run is in the words of that one's model.
    """
    caller = calling_run()
    described = any(spec_of(tool).described_by is Trust.UNTRUSTED for tool in services.tools.values())
    return bool(question.context) or described or (caller is not None and caller.untrusted)


def _read(state: ReasoningState) -> Question:
    """The last human message, unless an earlier run on this thread took it, else the question that was given."""
    given: Any = state.get("question")
    last = messages[-1] if (messages := state.get("messages")) else None
    if last is not None and last.type == "human" and last.id != state.get("accepted_message", ""):
        given = str(last.text)
    if isinstance(given, Question):
        given = given.model_dump(mode="json")
    if isinstance(given, str):
        given = {"text": given}
    if not isinstance(given, dict):
        raise BadInputError(
            "no question: give `question` (a text, or a Question as JSON) or `messages` that end with a human one"
        )
    given = clean_json(given)
    if not str(given.get("text", "")).strip():
        raise BadInputError("the question is empty: give its text")
    try:
        return Question.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        raise BadInputError(
            f"not a question: {faults}. Give text, and if you like type, context, attachments"
        ) from error
