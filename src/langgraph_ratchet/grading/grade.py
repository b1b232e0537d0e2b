"""Grades answers: the one way in for everything above."""

from collections.abc import Iterable, Sequence
from functools import cache

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.grading.graders import get_grader, graders_of
from langgraph_ratchet.grading.judgement import Judgement, Unjudged
from langgraph_ratchet.grading.worker import Worker

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
        PluginError: a key names a grader of another package that cannot be used; nothing was graded.
        GradingError: the process that graders run in could not be started; nothing was graded.
    """
    listed = list(pairs)
    graders = [get_grader(key.grader).full_name for key, _ in listed]
    verdicts = _judged(listed)
    ids = trace_ids if trace_ids is not None else [None] * len(listed)
    return [_grade(*facts) for facts in zip(ids, graders, verdicts, strict=True)]


def _judged(pairs: Sequence[tuple[AnswerKey, str | None]]) -> list[Judgement | Unjudged]:
    verdicts: list[Judgement | Unjudged] = [_NO_ANSWER] * len(pairs)
    built_in = graders_of().built_in()
    by_worker: dict[Worker, list[tuple[int, tuple[AnswerKey, str]]]] = {}
    for at, (key, answer) in enumerate(pairs):
        if answer is not None:
            worker = _worker_of(None if key.grader in built_in else key.grader)
            by_worker.setdefault(worker, []).append((at, (key, answer)))
    for worker, asked in by_worker.items():
        for (at, _), verdict in zip(asked, worker.judge([pair for _, pair in asked]), strict=True):
            verdicts[at] = verdict
    return verdicts


@cache
def _worker_of(grader: str | None) -> Worker:
    """One for all built-in graders (`None`), and one for each of another package: what that breaks, it breaks alone.

    A worker starts nothing until its first answer is judged.
    """
    return Worker(graders=() if grader is None else (grader,))


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
