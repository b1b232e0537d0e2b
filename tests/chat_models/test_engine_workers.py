"""An engine with a worker for each core: the same replies, each run with the worker that knows it."""

import random

import pytest

from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.core.errors import BadInputError, GenerationError


def requests(count: int, *, tokens: int = 12) -> list[Request]:
    draw = random.Random(4)
    prompts = [tuple(draw.randrange(5, 260) for _ in range(draw.randint(5, 40))) for _ in range(count)]
    return [Request(prompt, tokens, 1.0, seed=at, run=f"run {at % 6}") for at, prompt in enumerate(prompts)]


@pytest.fixture
def engine(base):
    engine = Engine(base, workers=2)
    yield engine
    engine.close()


def test_replies_are_those_of_one_worker(base, engine):
    alone = Engine(base)
    for one, other in zip(requests(40), requests(40), strict=True):
        alone.submit(one)
        engine.submit(other)
        assert one.future.result().ids == other.future.result().ids
    alone.close()


def test_both_work_and_a_run_stays_with_its_worker(engine):
    placed: dict[str, set[object]] = {}
    asked = requests(60)
    for request in asked:
        placed.setdefault(request.run, set()).add(engine._worker_for(request.run))
        engine.submit(request).result()
    assert all(len(workers) == 1 for workers in placed.values())
    together = [engine.submit(request) for request in requests(64, tokens=60)]
    assert all(worker.running + worker.waiting for worker in engine._workers)
    assert all(future.result().ids for future in together)


def test_a_run_of_many_calls_is_shared_out(engine):
    futures = [engine.submit(Request((5, 6, 7, at), 60, run="one")) for at in range(8, 40)]
    assert all(worker.running + worker.waiting for worker in engine._workers)
    assert all(future.result().ids for future in futures)


def test_closing_tells_all_who_wait(base):
    engine = Engine(base, workers=2)
    futures = [engine.submit(request) for request in requests(200, tokens=400)]
    engine.close()
    assert any(isinstance(future.exception(), GenerationError) for future in futures)
    assert all(future.done() for future in futures)
    with pytest.raises(BadInputError, match="closed"):
        engine.submit(Request((5, 6), 3))
