"""The store keeps what it is given, once, and says clearly what it does not have."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import BadInputError, StoreError, UnknownNameError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.traces.store import TraceStore

MakeCall = Callable[..., Call]
MakeTrace = Callable[..., Trace]


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def test_everything_reads_back_equal_in_another_store(
    url: str, store: TraceStore, question: Question, make_call: MakeCall, make_trace: MakeTrace
) -> None:
    store.begin("run_1", question, "scripted", 1.5e9)
    calls = tuple(store.add_call(make_call(index=index)) for index in range(3))
    step = make_trace().steps[0]
    store.add_step("run_1", "task", 0, step)
    trace = make_trace(calls=calls)
    store.finish(trace)
    grade = Grade(trace_id="run_1", grader="exact@1", score=1.0, strict=True, lenient=True, reason="equal")
    store.add_grade(grade)

    other = TraceStore(url)
    assert other.trace("run_1") == trace
    assert other.calls("run_1") == list(calls)
    assert other.find_calls([calls[2].id, "unknown", calls[0].id]) == [calls[0], calls[2]]
    assert other.steps("run_1") == [step]
    assert other.grades("run_1") == [grade]
    assert other.superseded("run_1") == []
    assert other.open_runs() == []
    other.close()


def test_a_memory_store_works_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: Question, make_call: MakeCall, make_trace: MakeTrace
) -> None:
    monkeypatch.chdir(tmp_path)
    store = TraceStore(":memory:")
    assert store.traces(limit=None) == []
    store.begin("run_1", question, "scripted", 0.0)
    trace = make_trace(calls=(store.add_call(make_call()),))
    store.finish(trace)
    assert store.trace("run_1") == trace
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_reading_makes_no_file(url: str, store: TraceStore) -> None:
    assert store.traces(limit=5) == []
    assert store.calls("run_1") == store.superseded("run_1") == store.open_runs() == store.grades("run_1") == []
    with pytest.raises(UnknownNameError, match="no trace exists yet"):
        store.trace("run_1")
    assert not path_of(url).parent.exists()


def test_the_same_call_again_is_the_stored_one(store: TraceStore, question: Question, make_call: MakeCall) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    first = store.add_call(make_call())
    assert store.add_call(make_call()) == first
    assert store.add_call(make_call(id="call_other", seconds=7.0)) == first
    assert store.calls("run_1") == [first]


def test_other_content_under_the_same_key_is_a_further_attempt(
    store: TraceStore, question: Question, make_call: MakeCall
) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    first = store.add_call(make_call())
    second_reply = {"role": "assistant", "content": "another reply"}
    second = store.add_call(make_call(id="call_second", reply=second_reply))
    assert (second.id, second.key.attempt, second.reply) == ("call_second", 2, second_reply)
    assert store.add_call(make_call(id="call_again", reply=second_reply)) == second
    third = store.add_call(make_call(reply=None, error="ValueError: no"))  # the id of the first one
    assert third.key.attempt == 3
    assert third.id not in {first.id, second.id}
    assert store.calls("run_1") == [first, second, third]


def test_an_explicit_attempt_is_kept(store: TraceStore, question: Question, make_call: MakeCall) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    failed = store.add_call(make_call(reply=None, error="timeout"))
    again = store.add_call(make_call(attempt=2, reply=None, error="timeout"))
    assert (failed.key.attempt, again.key.attempt) == (1, 2)
    assert len(store.calls("run_1")) == 2


def test_an_id_of_another_call_is_refused(store: TraceStore, question: Question, make_call: MakeCall) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    store.add_call(make_call(index=0))
    with pytest.raises(StoreError, match="is taken by another call"):
        store.add_call(make_call(index=1, id="call_run_1_task_0_1"))


def test_calls_that_the_trace_does_not_list_are_superseded(
    store: TraceStore, question: Question, make_call: MakeCall, make_trace: MakeTrace
) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    crashed = store.add_call(make_call(task="task", reply={"content": "before the crash"}))
    kept = store.add_call(make_call(task="task", id="call_kept", reply={"content": "after the crash"}))
    assert store.superseded("run_1") == []  # not finished: nothing is superseded yet
    store.finish(make_trace(calls=(kept,)))
    assert store.superseded("run_1") == [crashed]
    assert store.trace("run_1").calls == (kept,)


def test_a_trace_is_written_once(
    store: TraceStore, question: Question, make_call: MakeCall, make_trace: MakeTrace
) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    store.begin("run_1", question, "another model", 9.0)
    trace = make_trace(calls=(store.add_call(make_call()),))
    store.finish(trace)
    store.finish(trace.model_copy(update={"answer": "changed"}))
    assert store.trace("run_1") == trace
    assert len(store.traces(limit=None)) == 1


def test_a_trace_whose_calls_are_not_stored_is_refused(
    store: TraceStore, question: Question, make_call: MakeCall, make_trace: MakeTrace
) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    store.begin("run_2", question, "scripted", 0.0)
    elsewhere = store.add_call(make_call("run_2"))
    for calls in [(make_call(),), (elsewhere,)]:
        with pytest.raises(StoreError, match="lists 1 calls that are not stored"):
            store.finish(make_trace(calls=calls))
    assert [run.id for run in store.open_runs()] == ["run_1", "run_2"]


def test_what_belongs_to_nothing_is_refused(store: TraceStore, make_call: MakeCall, make_trace: MakeTrace) -> None:
    step = Step(number=1, description="d", call_id="c")
    for write in (
        lambda: store.add_call(make_call()),
        lambda: store.add_step("run_1", "task", 0, step),
        lambda: store.finish(make_trace()),
        lambda: store.add_grade(
            Grade(trace_id="run_1", grader="exact@1", score=None, strict=None, lenient=None, reason="")
        ),
    ):
        with pytest.raises(StoreError, match="what it belongs to is not stored"):
            write()
    with pytest.raises(BadInputError, match="without a trace id"):
        store.add_grade(Grade(trace_id=None, grader="exact@1", score=1.0, strict=True, lenient=True, reason=""))


def test_summaries_filter_and_order(store: TraceStore, question: Question, make_trace: MakeTrace) -> None:
    other = Question(text="What else?")
    for number, (asked, outcome) in enumerate(
        [(question, Outcome.ANSWERED), (other, Outcome.OUT_OF_STEPS), (question, Outcome.OUT_OF_STEPS)]
    ):
        store.begin(f"run_{number}", asked, "scripted", 0.0)
        # started_at runs backwards: the order is that of writing, not of clocks
        store.finish(make_trace(f"run_{number}", question=asked, outcome=outcome, started_at=-float(number)))

    def ids(**filters: object) -> list[str]:
        return [summary.id for summary in store.traces(**{"limit": None, **filters})]

    assert ids() == ["run_2", "run_1", "run_0"]
    assert ids(limit=1) == ["run_2"]
    assert ids(newest_first=False, limit=2) == ["run_0", "run_1"]
    assert ids(outcome=Outcome.OUT_OF_STEPS) == ["run_2", "run_1"]
    assert ids(question_id=question.id) == ["run_2", "run_0"]
    assert ids(question_id=question.id, outcome=Outcome.ANSWERED) == ["run_0"]
    (summary,) = store.traces(limit=1, question_id=other.id)
    assert (summary.question, summary.question_id, summary.type) == ("What else?", other.id, None)
    assert (summary.answer, summary.calls, summary.tool_calls, summary.seconds) == ("Bo", 0, 1, 2.5)


def test_a_trace_is_found_by_a_prefix_that_only_it_has(
    store: TraceStore, question: Question, make_trace: MakeTrace
) -> None:
    for run_id in ("run_aa", "run_ab", "run_b", "run_bb"):
        store.begin(run_id, question, "scripted", 0.0)
        store.finish(make_trace(run_id))
    assert store.trace("run_aa").id == "run_aa"
    assert store.trace("run_b").id == "run_b"  # the id itself, though it begins another
    assert store.trace("run_bb").id == "run_bb"
    with pytest.raises(UnknownNameError, match="run_aa, run_ab.*give more of the id"):
        store.trace("run_a")
    with pytest.raises(UnknownNameError, match="run_bb, run_b, run_ab, run_aa"):
        store.trace("run%")  # no wildcard
    with pytest.raises(UnknownNameError):
        store.trace("")


def test_open_runs_are_those_without_a_trace(store: TraceStore, question: Question, make_trace: MakeTrace) -> None:
    for run_id in ("run_1", "run_2", "run_3"):
        store.begin(run_id, question, "scripted", 4.0)
    store.finish(make_trace("run_2"))
    store.mark_lost("run_3")
    (run,) = store.open_runs()
    assert (run.id, run.question, run.model, run.started_at) == ("run_1", question, "scripted", 4.0)


def test_a_step_or_grade_given_again_replaces_the_first(
    store: TraceStore, question: Question, make_trace: MakeTrace
) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    for text in ("before the crash", "after the crash"):
        store.add_step("run_1", "task", 0, Step(number=1, description=text, call_id="c"))
    store.add_step("run_1", "task", 1, Step(number=2, description="next", call_id="c"))
    assert [step.description for step in store.steps("run_1")] == ["after the crash", "next"]
    store.finish(make_trace())
    for score in (0.0, 1.0):
        store.add_grade(Grade(trace_id="run_1", grader="exact@1", score=score, strict=None, lenient=None, reason=""))
    assert [grade.score for grade in store.grades("run_1")] == [1.0]


def test_threads_share_a_store(store: TraceStore, question: Question, make_call: MakeCall) -> None:
    def record(run_id: str) -> None:
        store.begin(run_id, question, "scripted", 0.0)
        for index in range(20):
            store.add_call(make_call(run_id, index))
            store.calls(run_id)

    threads = [threading.Thread(target=record, args=(f"run_{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(store.calls(f"run_{number}")) for number in range(8)] == [20] * 8
