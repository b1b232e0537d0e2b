"""Deterministic generation: to the bit what it would have been in any other batch."""

import random
import time

from langgraph_ratchet.chat_models.engine import Engine, Request, engine_of

VOCABULARY = 260


def prompts(count: int, *, seed: int) -> list[tuple[int, ...]]:
    draw = random.Random(seed)
    return [tuple(draw.randrange(5, VOCABULARY) for _ in range(draw.randint(1, 90))) for _ in range(count)]


def test_a_deterministic_row_is_the_same_to_the_bit_in_any_crowd(base):
    """Not only its tokens: its log-probabilities too, which rounding in another batch changes."""
    wanted = [(prompt, at % 2) for at, prompt in enumerate(prompts(6, seed=4))]
    seen = []
    for trial in range(4):
        engine = Engine(base, deterministic=True)
        draw = random.Random(trial)
        own = [Request(prompt, 20, float(temperature), 7) for prompt, temperature in wanted]
        crowd = [Request(prompt, draw.randint(1, 40), 1.0, trial) for prompt in prompts(9 * trial, seed=50 + trial)]
        requests = own + crowd
        draw.shuffle(requests)
        for request in requests:
            engine.submit(request)
            time.sleep(draw.random() * 0.004)  # joins at other moments
        seen.append([(request.future.result().ids, request.future.result().logprobs) for request in own])
        engine.close()
    assert seen[1:] == seen[:-1]


def test_deterministic_calls_have_an_engine_of_their_own(base):
    assert engine_of(base, deterministic=True) is engine_of(base, deterministic=True)
    assert engine_of(base, deterministic=True) is not engine_of(base)
