"""Who waits for the engine: bounded, in turns between runs, in order within one."""

import threading
import time
from collections import Counter
from uuid import uuid4

import hypothesis
import pytest
from hypothesis import strategies as st

from langgraph_ratchet.chat_models.calls.runs import run_of
from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.chat_models.engine.queue import FairQueue
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.core.errors import OverloadedError


@pytest.fixture
def engine(base):
    engine = Engine(base, max_waiting=40)
    yield engine
    engine.close()


def busy(engine) -> Request:
    """A call that keeps a batch of one until it is cancelled."""
    begun = threading.Event()
    request = Request((5, 6, 7), 500, stopped=lambda ids: begun.set() or time.sleep(0.002) or False, max_batch=1)
    engine.submit(request)
    assert begun.wait(20)
    return request


def row(run: str | None, adapter=None) -> Row:
    return Row.of(Request((5, 6), 5, run=run, adapter=adapter), 100)


def test_a_run_of_many_calls_does_not_starve_one_of_few(engine):
    blocker, order, at_once = busy(engine), [], set()

    def ask(run: str | None, count: int) -> list[Request]:
        requests = [
            Request((9, 8, 7), 1, run=run, max_batch=1, on_token=lambda _: at_once.add(engine.running))
            for _ in range(count)
        ]
        for at, request in enumerate(requests):
            request.future.add_done_callback(lambda _, at=at: order.append((run, at)))
            engine.submit(request)
        return requests

    requests = ask("large", 30) + ask("small", 3) + ask(None, 1)
    blocker.future.cancel()
    for request in requests:
        request.future.result(timeout=20)
    assert order[:8] == [
        ("large", 0), ("small", 0), (None, 0), ("large", 1), ("small", 1), ("large", 2), ("small", 2), ("large", 3),
    ]  # fmt: skip
    assert order[8:] == [("large", at) for at in range(4, 30)]
    assert at_once == {1}


def test_a_full_queue_refuses_and_a_cancelled_call_makes_room(engine):
    blocker = busy(engine)
    waiting = [engine.submit(Request((9, 8), 2, max_batch=1)) for _ in range(40)]
    with pytest.raises(OverloadedError, match="40 calls wait for the model .* no more than 40 may"):
        engine.submit(Request((9, 8), 2))
    assert waiting[20].cancel()
    assert engine.waiting == 39
    last = engine.submit(Request((9, 8), 2, max_batch=1))
    assert engine.waiting == 40
    blocker.future.cancel()
    assert last.result(timeout=20).ids
    assert all(future.result(timeout=20).ids for future in waiting if not future.cancelled())
    assert (engine.waiting, engine.running) == (0, 0)


def test_rows_that_were_put_back_go_first_and_over_the_limit():
    queue = FairQueue(2, "the model")
    first, second, returned = row("a"), row("b"), row("c")
    queue.put(first)
    queue.put(second)
    queue.put_back([returned])
    assert (len(queue), queue.first()) == (3, returned)
    with pytest.raises(OverloadedError):
        queue.put(row("d"))
    assert queue.take(None, lambda _: True) == [returned, first, second]
    queue.put_back([returned])
    assert queue.discard(returned)
    assert not queue.discard(returned)
    assert (len(queue), queue.first(), queue.waiting()) == (0, None, [])


@hypothesis.given(st.lists(st.tuples(st.sampled_from("pptd"), st.sampled_from("abcd")), max_size=60), st.data())
@hypothesis.settings(max_examples=100)
def test_the_runs_take_turns(steps, data):
    """Against all that a queue can be asked: no run is served again before those that have waited since."""
    queue, waiting, passed = FairQueue(1000, "the model"), [], Counter()
    for step, run in steps:
        if step == "p":
            new = row(run)
            queue.put(new)
            waiting.append(new)
            passed[new] = 0
        elif step == "d" and waiting:
            gone = data.draw(st.sampled_from(waiting))
            assert queue.discard(gone)
            waiting.remove(gone)
        elif step == "t" and waiting:
            refused = iter([True, False])
            (taken,) = queue.take(None, lambda _, refused=refused: next(refused))
            assert taken is next(one for one in waiting if one.request.run == taken.request.run)
            waiting.remove(taken)
            heads = {one.request.run: one for one in reversed(waiting) if one.request.run != taken.request.run}
            passed.update(heads.values())
            # The first of a run that waits is passed over at most once by each other run.
            assert all(passed[one] <= 3 for one in heads.values())
            for one in waiting:
                if one.request.run == taken.request.run:
                    passed[one] = 0
        assert len(queue) == len(waiting)
    assert Counter(queue.clear()) == Counter(waiting)


def test_a_queue_of_many_costs_no_more_for_each():
    """Time for one call must not grow with the queue: a hundred times as many, and each still costs about the same."""

    def seconds(count: int) -> float:
        rows = [row(str(at % 7) if at % 2 else None) for at in range(count)]
        queue = FairQueue(count, "the model")
        begun = time.process_time()
        for one in rows:
            queue.put(one)
        for one in rows[::3]:
            queue.discard(one)
        for _ in range(len(queue)):
            refused = iter([True, False])
            queue.take(None, lambda _, refused=refused: next(refused))
        return (time.process_time() - begun) / count

    few = min(seconds(300) for _ in range(5))
    assert seconds(20_000) < 10 * few


def test_the_run_of_a_call_is_named_by_ratchet_then_the_thread_then_the_caller():
    caller = uuid4()
    assert run_of({"ratchet_run": "r", "thread_id": "t"}, caller) == "r"
    assert run_of({"thread_id": 7}, caller) == "7"
    assert run_of({}, caller) == str(caller)
    assert run_of(None) is None
