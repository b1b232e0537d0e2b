"""Grades answers: the one way in for everything above."""

import atexit
import os
from collections.abc import Iterable, Sequence

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.grading.graders import get_grader
from langgraph_ratchet.grading.judgement import Judgement, Unjudged
from langgraph_ratchet.grading.worker import Worker

# One for the whole process; it starts nothing until the first answer is graded.
_worker = Worker()
atexit.register(_worker.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_worker.forget)

_NO_ANSWER = Judgement(strict=False, lenient=False, reason="there is no answer")


def grade(key: AnswerKey, answer: str | None, *, trace_id: str | None = None) -> Grade:
    """The grade of `answer` by `key`; see `grade_many`."""
    return grade_many([(key, answer)], trace_ids=[trace_id])[0]


def grade_many(
    pairs: Iterable[tuple[AnswerKey, str | None]], *, trace_ids: Sequence[str | None] | None = None
) -> list[Grade]:
    """The grade of each answer by its key, in order.

    No answer (`None`) is wrong. An answer that the grader could not judge has a score of `None`: its key is unusable,
    or the grader crashed or was stopped for being late. Safe to call from several threads.

    Args:
        pairs: keys with answers.
        trace_ids: the run that each answer came from, as many as there are pairs.

    Raises:
        UnknownNameError: a key names a grader that does not exist; nothing was graded.
        GradingError: the process that graders run in could not be started; nothing was graded.
    """
    listed = list(pairs)
    graders = [get_grader(key.grader).full_name for key, _ in listed]
    asked = [(key, answer) for key, answer in listed if answer is not None]
    judged = iter(_worker.judge(asked))
    verdicts = [_NO_ANSWER if answer is None else next(judged) for _, answer in listed]
    ids = trace_ids if trace_ids is not None else [None] * len(listed)
    return [_grade(*facts) for facts in zip(ids, graders, verdicts, strict=True)]


def _grade(trace_id: str | None, grader: str, verdict: Judgement | Unjudged) -> Grade:
    if isinstance(verdict, Unjudged):
        return Grade(trace_id=trace_id, grader=grader, score=None, strict=None, lenient=None, reason=verdict.reason)
    return Grade(
        trace_id=trace_id,
        grader=grader,
        score=1.0 if verdict.lenient else 0.0,
        strict=verdict.strict,
        lenient=verdict.lenient,
        reason=verdict.reason,
    )
