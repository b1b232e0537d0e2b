"""Judges answers in a process of their own: an answer is hostile text, and what a grader does with it is not trusted.

How the process is started, killed when late and started anew is in `core.worker`.
"""

import json
from collections.abc import Sequence
from typing import Any

from langgraph_ratchet.core import worker
from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import GradingError, WorkerError
from langgraph_ratchet.core.ids import clean_json, clean_text
from langgraph_ratchet.core.worker import Lost
from langgraph_ratchet.grading.graders import PACKAGE
from langgraph_ratchet.grading.judgement import Judgement, Unjudged

TIMEOUT_S = 10.0
"""How long one answer may take, seconds. The graders here take milliseconds; a loaded machine may take longer."""

_INSIDE = "langgraph_ratchet.grading.inside"


class Worker(worker.Worker):
    """Judges answers in another process. Safe to use from several threads, which then take turns.

    Args:
        timeout_s: seconds that one answer may take; the late process is killed and the next answer gets a new one.
        package: the package whose files are the graders.
        graders: names of the graders to load; none: those in the files of `package`.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, package: str = PACKAGE, graders: Sequence[str] = ()) -> None:
        super().__init__("grading", _INSIDE, (package, timeout_s, list(graders)), timeout_s=timeout_s)

    def judge(self, pairs: Sequence[tuple[AnswerKey, str]]) -> list[Judgement | Unjudged]:
        """A verdict on each answer, in order.

        Raises:
            GradingError: the process could not be started.
        """
        requests = [_encoded(key, answer) for key, answer in pairs]
        try:
            replies = iter(self.ask([request for request in requests if isinstance(request, bytes)]))
        except WorkerError as error:
            raise GradingError(str(error)) from error
        return [request if isinstance(request, Unjudged) else self._verdict(next(replies)) for request in requests]

    def _verdict(self, reply: dict[str, Any] | Lost) -> Judgement | Unjudged:
        if reply is Lost.LATE:
            return Unjudged(f"the grader was stopped after {self._timeout_s:g} s")
        if reply is Lost.DIED:
            return Unjudged("the grader's process died on it, twice")
        return Unjudged(reply["unjudged"]) if "unjudged" in reply else Judgement(**reply)


def _encoded(key: AnswerKey, answer: str) -> bytes | Unjudged:
    try:
        request = {"key": clean_json(key.model_dump()), "answer": clean_text(answer)}
        return json.dumps(request).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return Unjudged(f"the key's arguments are not JSON: {error}")
