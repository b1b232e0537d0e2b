"""Asks memory, if there is one, for texts that may help."""

from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.request import Body
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState


def recall(state: ReasoningState, services: Services, context: Context) -> Body:
    """Without memory it gives nothing; the texts it gives are shown as unchecked."""
    yield from ()
    if services.memory is None:
        return {"recalled": []}
    return {"recalled": [clean_text(text) for text in services.memory(Question.model_validate(state["question"]))]}
