"""Asks memory, if there is one, for texts that may help."""

import logging

from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.request import Body
from langgraph_ratchet.reasoning.reruns import is_rerun
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.tools.memory import Memory
from langgraph_ratchet.tools.recall import shown

_MOST = 5
_CHARS = 1_000
"""Of one record: five of them must not crowd out the question."""
_LOG = logging.getLogger(__name__)


def recall(state: ReasoningState, services: Services, context: Context) -> Body:
    """Without memory, or with one that fails, it gives nothing; the texts it gives are shown as unchecked."""
    yield from ()
    if services.memory is None:
        return _update([])
    question = Question.model_validate(state["question"])
    try:
        if isinstance(services.memory, Memory):
            return _recalled(services.memory, question)
        # Whose texts a function gives is not known.
        texts = [clean_text(text) for text in services.memory(question)]
        return _update(texts, untrusted=bool(texts))
    except Exception as error:
        # Memory helps a run; one that fails must not end it.
        _LOG.warning("memory failed and is left out of run %s: %s", state["trace_id"], error)
        return _update([])


def _recalled(memory: Memory, question: Question) -> dict[str, object]:
    if is_rerun():
        # It may hold the answer of the run that is made again.
        return _update([])
    found = memory.recall(question.text, k=_MOST)
    lines = (shown(each) for each in found)
    texts = [line if len(line) <= _CHARS else line[:_CHARS] + "…" for line in lines]
    return _update(texts, untrusted=any(each.trust is Trust.UNTRUSTED for each in found))


def _update(texts: list[str], *, untrusted: bool = False) -> dict[str, object]:
    return {"recalled": texts, "recalled_untrusted": untrusted}
