"""Asks memory, if there is one, for texts that may help."""

import logging

from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.request import Body
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState

_log = logging.getLogger(__name__)


def recall(state: ReasoningState, services: Services, context: Context) -> Body:
    """Without memory, or with one that fails, it gives nothing; the texts it gives are shown as unchecked."""
    yield from ()
    if services.memory is None:
        return {"recalled": []}
    try:
        texts = services.memory(Question.model_validate(state["question"]))
        return {"recalled": [clean_text(text) for text in texts]}
    except Exception as error:
        # Memory helps a run; one that fails must not end it.
        _log.warning("memory failed and is left out of run %s: %s", state["trace_id"], error)
        return {"recalled": []}
