"""Want of memory: fewer rows at once instead of a death, and nothing lost or told twice."""

import random
import resource
import subprocess
import sys
import traceback
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st

from langgraph_ratchet.chat_models.base import _load
from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.chat_models.engine.memory import RowLimit, free_memory, is_out_of_memory
from langgraph_ratchet.core.errors import GenerationError


def prompts(count: int) -> list[tuple[int, ...]]:
    draw = random.Random(2)
    return [tuple(draw.randrange(5, 260) for _ in range(draw.randint(1, 40))) for _ in range(count)]


def narrow(model_folder, most: int, error=torch.OutOfMemoryError):
    """A base whose model has memory for `most` tokens in a forward pass: rows times the longest of them."""
    base = _load("tiny", model_folder, "float32", "cpu")

    class Narrow(type(base.model)):
        def forward(self, *args, input_ids, position_ids, **kwargs):
            if len(input_ids) * (int(position_ids.max()) + 1) > most:
                raise error("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().forward(*args, input_ids=input_ids, position_ids=position_ids, **kwargs)

    base.model.__class__ = Narrow
    return replace(base)


class Alternating:
    """A constraint with a memory: even and odd ids by turns."""

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary, self._accepted = vocabulary, 0

    def allowed(self, remaining: int):
        return torch.arange(self._vocabulary) % 2 == self._accepted % 2

    def accept(self, token: int) -> None:
        self._accepted += 1


@pytest.mark.parametrize("most", [90, 400])
def test_rows_that_do_not_fit_wait_and_lose_nothing(base, model_folder, most):
    """To the token what an engine with memory enough gives, with everything that a row carries along.

    Memory runs out as rows grow, so that some are put back in the middle of what they write.
    """
    results = []
    for running in (Engine(base), Engine(narrow(model_folder, most))):
        heard = [[] for _ in range(20)]
        requests = [
            Request(
                prompt,
                3 + 2 * at,
                at % 3 / 2,
                seed=at,
                on_token=heard[at].append,
                presence_penalty=0.5,
                frequency_penalty=0.2,
                top_logprobs=at % 2,
                constraint=Alternating(base.model.config.vocab_size) if at % 4 == 0 else None,
                stopped=(lambda ids, at=at: len(ids) >= 2 + at) if at % 3 == 0 else None,
            )
            for at, prompt in enumerate(prompts(20))
        ]
        for request in requests:
            running.submit(request)
        completions = [request.future.result(timeout=60) for request in requests]
        for completion, tokens in zip(completions, heard, strict=True):
            assert [token.id for token in tokens] == list(completion.ids)
            assert [token.logprob for token in tokens] == list(completion.logprobs)
            assert tuple(token.top for token in tokens if token.top) == completion.tops
        results.append(completions)
        running.close()
    for wide, thin in zip(*results, strict=True):
        assert (wide.ids, wide.cut) == (thin.ids, thin.cut)
        assert wide.logprobs == pytest.approx(thin.logprobs, abs=1e-4)


def test_one_row_that_does_not_fit_is_told_so_and_the_engine_goes_on(model_folder):
    narrowed = narrow(model_folder, 0)
    engine = Engine(narrowed)
    futures = [engine.submit(Request(prompt, 5)) for prompt in prompts(3)]
    for future in futures:
        with pytest.raises(GenerationError, match="memory does not suffice for one call .* lower max_tokens") as raised:
            future.result(timeout=20)
        for frame, _ in traceback.walk_tb(raised.value.__cause__.__traceback__):
            # Whoever keeps the error does not keep the memory.
            assert not any(isinstance(value, torch.Tensor) for value in frame.f_locals.values())
    narrowed.model.__class__ = narrowed.model.__class__.__base__
    assert engine.submit(Request((5, 6), 5)).result(timeout=20).ids
    engine.close()


def test_another_failure_is_told_to_all_and_the_engine_goes_on(model_folder):
    broken = narrow(model_folder, 0, error=lambda _: ValueError("no such kernel"))
    engine = Engine(broken)
    futures = [engine.submit(Request(prompt, 5)) for prompt in prompts(3)]
    errors = {id(future.exception(timeout=20)): future.exception() for future in futures}
    assert len(errors) == 3  # each its own: threads that raise one exception add to one trace
    for error in errors.values():
        assert isinstance(error, GenerationError)
        assert "the model failed: ValueError: no such kernel" in str(error)
    broken.model.__class__ = broken.model.__class__.__base__
    assert engine.submit(Request((5, 6), 5)).result(timeout=20).ids
    engine.close()


def test_what_has_been_answered_is_not_kept(base):
    engine = Engine(base)
    request = Request((5, 6, 7), 5, 1.0, seed=1)
    engine.submit(request).result(timeout=20)
    gone = weakref.ref(request)
    engine.run(lambda: None)  # the thread has left the turn that answered
    del request
    assert gone() is None
    engine.close()


@given(st.integers(2, 500))
def test_the_limit_halves_at_once_and_rises_slowly(rows):
    limit = RowLimit()
    assert limit.allows(10**9)
    limit.halve(rows)
    assert limit.allows(max(1, rows // 2))
    assert not limit.allows(rows // 2 + 1 + (rows == 1))
    at = turns = rows // 2
    while not limit.allows(rows) and turns < 10**6:
        limit.went_well(at)
        turns += 1
        at += limit.allows(at + 1)
    assert 100 < turns < 10**6
    # Turns that did not try the limit say nothing about it.
    limit.halve(rows)
    for _ in range(1000):
        limit.went_well(rows // 2 - 1)
    assert not limit.allows(rows // 2 + 1)


def test_free_memory_is_that_of_the_tightest_group(tmp_path):
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert free_memory(tmp_path) == 8000 * 1024
    write("proc/self/cgroup", "0::/pod/inner\n4:memory:/old\n")
    write("sys/fs/cgroup/pod/inner/memory.max", "max")
    write("sys/fs/cgroup/pod/memory.max", "1000000")
    write("sys/fs/cgroup/pod/memory.current", "700000")
    write("sys/fs/cgroup/pod/memory.stat", "anon 5\ninactive_file 100000\n")
    assert free_memory(tmp_path) == 400_000
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "500000")  # a container sees its own group as the root
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "300000")
    write("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 50000\n")
    assert free_memory(tmp_path) == 250_000
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "600000")
    assert free_memory(tmp_path) == 0
    assert free_memory() > 1 << 20


def test_torchs_own_failure_to_allocate_is_known_for_what_it_is():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    with pytest.raises(RuntimeError) as raised:
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not is_out_of_memory(raised.value)


SCRIPT = """
import resource, sys
import torch
from langgraph_ratchet.chat_models.base import load_base
from langgraph_ratchet.chat_models.engine import Engine, Request

torch.set_num_threads(1)
engine = Engine(load_base(sys.argv[1], device="cpu"), kv_bytes=1 << 40)
prompts = [(5 + at, 6, 7, 8) for at in range(24)]
engine.submit(Request(prompts[0], 120)).result()  # whatever is made once has been made
taken = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[2]), resource.RLIM_INFINITY))
futures = [engine.submit(Request(prompt, 120, 1.0, seed=1)) for prompt in prompts]
print(sum(sum(future.result().ids) for future in futures), engine._workers[0]._batches._limit.allows(24))
engine.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS") or sys.platform != "linux", reason="limits address space")
def test_a_process_that_may_take_no_more_goes_on_with_fewer_rows(tokenizer, tmp_path, make_model):
    """Torch's own allocator fails for want of address space: a token of this model takes 64 KiB of keys and values."""
    folder = make_model(
        tmp_path / "deep", tokenizer, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=8, head_dim=128
    )

    def run(more: int) -> list[str]:
        script = [sys.executable, "-c", SCRIPT, str(folder), str(more)]
        done = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False, cwd=Path.cwd())
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split()

    expected, unlimited = run(1 << 40)
    tokens, limited = run(80 << 20)
    assert (unlimited, limited) == ("True", "False")
    assert tokens == expected
