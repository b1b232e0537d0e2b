"""`grade` and `grade_many`: what callers above rely on."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import UnknownNameError
from langgraph_ratchet.grading import grade, grade_many


def test_a_sentence_with_the_number_is_right_but_not_strictly() -> None:
    verdict = grade(AnswerKey(value="18", grader="number"), "so she makes $18.", trace_id="t1")
    assert (verdict.score, verdict.strict, verdict.lenient) == (1.0, False, True)
    assert verdict.verified
    assert (verdict.grader, verdict.trace_id) == ("number@1", "t1")
    assert "18" in verdict.reason


def test_a_wrong_answer_scores_zero_and_says_what_was_wanted() -> None:
    verdict = grade(AnswerKey(value="18", grader="number"), "17")
    assert (verdict.score, verdict.strict, verdict.lenient) == (0.0, False, False)
    assert not verdict.verified
    assert "17" in verdict.reason
    assert "18" in verdict.reason


def test_no_answer_is_wrong_and_not_unjudged() -> None:
    verdict = grade(AnswerKey(value="18", grader="number"), None)
    assert (verdict.score, verdict.strict, verdict.lenient) == (0.0, False, False)


def test_many_are_graded_in_order() -> None:
    keys = [AnswerKey(value=str(number), grader="number") for number in range(20)]
    answers = [None if number % 5 == 4 else str(number + number % 2) for number in range(20)]
    grades = grade_many(zip(keys, answers, strict=True), trace_ids=[f"t{number}" for number in range(20)])
    assert [verdict.score for verdict in grades] == [float(n % 2 == 0 and n % 5 != 4) for n in range(20)]
    assert [verdict.trace_id for verdict in grades] == [f"t{number}" for number in range(20)]
    assert grade_many([]) == []


def test_trace_ids_must_be_as_many_as_the_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        grade_many([(AnswerKey(value="1", grader="number"), "1")], trace_ids=[])


def test_an_unknown_grader_is_refused_before_anything_is_graded() -> None:
    pairs = [(AnswerKey(value="1", grader="number"), "1"), (AnswerKey(value="1", grader="nmber"), "1")]
    with pytest.raises(UnknownNameError, match="unknown grader 'nmber'"):
        grade_many(pairs)


def test_arguments_that_are_not_json_are_unjudged_alone() -> None:
    bad = AnswerKey(value="1", grader="number", arguments={"tolerance": object()})
    good = AnswerKey(value="1", grader="number")
    grades = grade_many([(good, "1"), (bad, "1"), (good, "1")])
    assert [verdict.score for verdict in grades] == [1.0, None, 1.0]


def test_a_thousand_grades_are_pipelined() -> None:
    pairs = [(AnswerKey(value=str(number), grader="number"), f"so she makes ${number}.") for number in range(1000)]
    grade_many(pairs[:1])
    seconds = []
    for _ in range(3):  # the best of three: what it can do, not what else the machine does
        started = time.perf_counter()
        assert all(verdict.verified for verdict in grade_many(pairs))
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 2.0, seconds


def test_threads_get_their_own_verdicts() -> None:
    def graded(thread: int) -> list[bool]:
        key = AnswerKey(value=str(thread), grader="number")
        batches = [grade_many([(key, str(thread)), (key, str(thread + 1))]) for _ in range(20)]
        return [verdict.verified for batch in batches for verdict in batch]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(graded, range(8))) == [[True, False] * 20] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_grades_on_its_own() -> None:
    key = AnswerKey(value="18", grader="number")
    assert grade(key, "18").verified
    child = os.fork()
    if child == 0:
        os._exit(0 if grade(key, "18").verified and not grade(key, "17").verified else 1)
    assert [grade(key, answer).verified for answer in ("18", "17") * 20] == [True, False] * 20
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
