"""Many runs at once: in order, each once, and going on after Ctrl-C."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.errors import StoreError
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.rollouts import Rollout, roll_out
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore


class Counted:
    """The policy, counting how often it is asked and how many ask at a time."""

    def __init__(self, policy: Any, *, seconds: float = 0.0, interrupt_at: int = 0) -> None:
        self.policy, self.seconds, self.interrupt_at = policy, seconds, interrupt_at
        self.asked = self.now = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, messages: Any, kwargs: Any) -> AIMessage:
        with self.lock:
            self.asked += 1
            self.now += 1
            self.most = max(self.most, self.now)
            if self.asked == self.interrupt_at:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        return self.policy(messages, kwargs)


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[TraceStore]:
    store = TraceStore(f"sqlite:///{tmp_path}/traces.db")
    yield store
    store.close()


def make(policy: Any, store: TraceStore) -> Any:
    return create_reasoner(PolicyChatModel(policy=policy), get_tools("calculator"), store=store).compile()


def wanted(count: int) -> list[Rollout]:
    return [Rollout(Question(text=f"What is {n} + 1?"), f"trace_{n}", temperature=1.0, seed=n) for n in range(count)]


def test_traces_come_in_the_order_they_were_wanted(adder: Any, file_store: TraceStore) -> None:
    policy = Counted(adder, seconds=0.05)
    traces = roll_out(make(policy, file_store), file_store, wanted(6), concurrency=3)
    assert [trace.id for trace in traces] == [f"trace_{n}" for n in range(6)]
    assert [trace.answer for trace in traces] == [str(n + 1) for n in range(6)]
    assert policy.asked == 36
    assert 1 < policy.most <= 3
    assert traces[2].calls[0].sampling.temperature == 1.0
    assert len({call.sampling.seed for trace in traces for call in trace.calls}) == 36


def test_a_rollout_whose_trace_is_stored_is_not_run_again(adder: Any, file_store: TraceStore) -> None:
    policy = Counted(adder)
    reasoner, rollouts = make(policy, file_store), wanted(4)
    roll_out(reasoner, file_store, rollouts[1:3])
    told: list[tuple[int, int]] = []
    traces = roll_out(reasoner, file_store, rollouts, on_done=lambda done, total: told.append((done, total)))
    assert [trace.id for trace in traces] == ["trace_0", "trace_1", "trace_2", "trace_3"]
    assert policy.asked == 24
    assert told[0] == (2, 4)
    assert told[-1] == (4, 4)
    assert roll_out(reasoner, file_store, rollouts) == traces
    assert policy.asked == 24


def test_nothing_wanted_is_nothing_done(adder: Any, file_store: TraceStore) -> None:
    assert roll_out(make(adder, file_store), file_store, []) == []


def test_ctrl_c_stops_after_the_calls_in_flight_and_the_rest_is_done_later(adder: Any, file_store: TraceStore) -> None:
    rollouts = wanted(12)
    roll_out(make(adder, file_store), file_store, rollouts[:2])
    policy = Counted(adder, seconds=0.1, interrupt_at=10)
    with pytest.raises(KeyboardInterrupt):
        roll_out(make(policy, file_store), file_store, rollouts, concurrency=6)
    assert 10 <= policy.asked < 36  # not six whole runs
    finished = file_store.finished([rollout.trace_id for rollout in rollouts])
    assert 2 <= len(finished) < 8
    assert "trace_11" not in {run.id for run in file_store.open_runs()}  # its turn had not come
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ratchet-rollout")]

    policy = Counted(adder)
    traces = roll_out(make(policy, file_store), file_store, rollouts)
    assert [trace.answer for trace in traces] == [str(n + 1) for n in range(12)]
    assert policy.asked == 6 * (12 - len(finished))
    for trace in traces:  # what a stopped run had asked is kept, and not taken for part of the new one
        assert len(trace.calls) == 6
        assert not {call.id for call in file_store.superseded(trace.id)} & {call.id for call in trace.calls}


def test_what_a_run_raises_is_raised(adder: Any, file_store: TraceStore) -> None:
    rollouts = [*wanted(2), Rollout(Question(text=" "), "trace_bad", temperature=0.0, seed=0)]
    with pytest.raises(Exception, match="the question is empty"):
        roll_out(make(adder, file_store), file_store, rollouts)


def test_a_run_that_could_not_be_recorded_is_one_clear_error(
    adder: Any, store: TraceStore, file_store: TraceStore
) -> None:
    store.close()
    with pytest.raises(StoreError, match="could not be recorded.*go on with --resume"):
        roll_out(make(adder, store), file_store, wanted(2))


def test_what_could_not_be_recorded_is_run_when_it_can_be(
    adder: Any, store: TraceStore, file_store: TraceStore
) -> None:
    file_store.begin("trace_0", wanted(1)[0].question, "policy", 0.0)
    file_store.mark_lost("trace_0")
    assert [trace.id for trace in roll_out(make(adder, file_store), file_store, wanted(1))] == ["trace_0"]
