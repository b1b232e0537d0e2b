"""What `generation.py` lets every variant generate: the calls of real graph runs, and random ones."""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.ids import new_id
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite
from langgraph_ratchet.reasoning.budgets import UNTIMED
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.rollouts import Rollout, roll_out
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

CONCURRENT = 64
"""Graph runs at a time."""


@dataclass(frozen=True)
class Wanted:
    """One call: its prompt, and exactly how many tokens are wanted."""

    prompt: tuple[int, ...]
    tokens: int


Run = tuple[Wanted, ...]
"""The calls of one graph run; each is made when the one before has been answered."""


def record_runs(count: int) -> list[Run]:
    """The calls that `count` runs of the reasoning graph make on the pocket model, 64 at a time, at temperature 1."""
    suite = load_suite("first_light_practice")
    problems = generate(suite)
    while len(problems) < count:
        suite = suite.model_copy(update={"seed": suite.seed + 1})
        problems += generate(suite)
    random.Random(1).shuffle(problems)
    wanted = [Rollout(item.question, new_id("trace"), 1.0, seed) for seed, item in enumerate(problems[:count])]
    with tempfile.TemporaryDirectory() as folder:
        store = TraceStore(f"sqlite:///{Path(folder) / 'traces.db'}")
        model = ChatTransformers(model="pocket", max_tokens=96, device="cpu")
        budgets = replace(UNTIMED, calls=28, tool_calls=10)  # those of `ratchet demo`
        graph = create_reasoner(model, get_tools(), store=store, budgets=budgets).compile()
        runs = [_calls(store, trace.id) for trace in roll_out(graph, store, wanted, concurrency=CONCURRENT)]
        store.close()
    model.engine.close()
    return runs


def _calls(store: TraceStore, run_id: str) -> Run:
    calls = sorted(store.calls(run_id), key=lambda call: call.key.index)
    exact = [call.tokens for call in calls if call.tokens is not None]
    return tuple(Wanted(tuple(tokens.prompt_ids), len(tokens.completion_ids)) for tokens in exact)


def random_runs(base: Base, like: Sequence[Run]) -> list[Run]:
    """Runs of the same lengths whose prompts are random, so that they share nothing."""
    draw = random.Random(2)
    ordinary = sorted(set(range(base.model.config.vocab_size)) - set(base.tokenizer.all_special_ids))
    return [
        tuple(Wanted(tuple(draw.choices(ordinary, k=len(call.prompt))), call.tokens) for call in run) for run in like
    ]


def in_waves(runs: Sequence[Run]) -> list[Wanted]:
    """All calls in the order in which they could at best arrive.

    64 runs at a time, and of these all first calls, then all second ones, and so on.
    """
    order = []
    for start in range(0, len(runs), CONCURRENT):
        wave = runs[start : start + CONCURRENT]
        for index in range(max(map(len, wave))):
            order += [run[index] for run in wave if index < len(run)]
    return order


def sample(runs: Sequence[Run], size: int, count: int) -> list[Run]:
    """Of the batches of `size` calls in the order of arrival, `count` that are evenly spread, as runs of one call."""
    order = in_waves(runs)
    starts = range(0, len(order), size)
    chosen = starts[:: max(1, len(starts) // count)][:count]
    return [(call,) for start in chosen for call in order[start : start + size]]


def tokens_of(runs: Sequence[Run]) -> int:
    """Completion tokens."""
    return sum(call.tokens for run in runs for call in run)
