"""The engine: exact log-probabilities in any batch, draws that are a row's own, and no caller left waiting."""

import random
import threading
import time

import pytest
import torch

from langgraph_ratchet.chat_models.adapters import Adapters, resolve_adapter
from langgraph_ratchet.chat_models.base import load_base
from langgraph_ratchet.chat_models.engine import Engine, Request, engine_of
from langgraph_ratchet.core.errors import BadInputError, GenerationError
from langgraph_ratchet.registry import Registry

VOCABULARY = 260
NODE = tuple(random.Random(5).randrange(5, VOCABULARY) for _ in range(40))


def prompts(count: int, *, seed: int, shared: bool = False) -> list[tuple[int, ...]]:
    draw = random.Random(seed)
    rests = [tuple(draw.randrange(5, VOCABULARY) for _ in range(draw.randint(1, 90))) for _ in range(count)]
    return [NODE + rest if shared else rest for rest in rests]


def wait_until(true) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def plain_logprobs(model, prompt_ids, completion_ids) -> list[float]:
    """What an outsider computes: one forward pass over the ids, without this package."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt_ids, *completion_ids]])).logits[0, len(prompt_ids) - 1 : -1]
    return [row[token].item() for row, token in zip(logits.log_softmax(-1), completion_ids, strict=True)]


@pytest.fixture(scope="module")
def adapters(adapter_folders, tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("registry"))
    return [None, *(resolve_adapter(str(folder), registry) for folder in adapter_folders)]


@pytest.fixture(params=["merged", "beside"])
def engine(request, model_folder):
    from langgraph_ratchet.chat_models import base as base_module

    base = base_module._load("tiny", model_folder, "float32", "cpu")  # its own: adapters attach to its modules
    engine = Engine(base, Adapters(base, merged_bytes=1 << 30 if request.param == "merged" else 0))
    yield engine
    engine.close()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("shared", [False, True])
def test_recorded_logprobs_are_those_of_the_model(engine, adapters, unmerged, temperature, shared):
    draw = random.Random(0)
    requests = [
        (Request(prompt, draw.randint(1, 30), temperature, at, adapters[at % 3]), unmerged[at % 3])
        for at, prompt in enumerate(prompts(24, seed=1, shared=shared))
    ]
    for request, _ in requests:
        engine.submit(request)
    for request, model in requests:
        completion = request.future.result()
        assert len(completion.ids) == len(completion.logprobs) <= request.max_tokens
        expected = plain_logprobs(model, request.prompt_ids, completion.ids)
        assert completion.logprobs == pytest.approx(expected, abs=1e-4)
        assert engine.score(request.prompt_ids, completion.ids, request.adapter) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_a_rows_draw_does_not_depend_on_its_batch(base, temperature):
    engine = Engine(base)
    wanted = prompts(24, seed=2, shared=True) * 2
    together = [Request(prompt, 25, temperature, seed=7) for prompt in wanted]
    for request in together:
        engine.submit(request)
    results = [request.future.result() for request in together]
    # Alone, in another order, and by an engine that has read none of the prompts before.
    alone_engine = Engine(base)
    alone = [alone_engine.submit(Request(prompt, 25, temperature, seed=7)).result() for prompt in reversed(wanted[:24])]
    for one, again, other in zip(results[:24], results[24:], reversed(alone), strict=True):
        assert one.ids == again.ids == other.ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    engine.close()
    alone_engine.close()


def test_greedy_takes_what_transformers_takes(base):
    engine = Engine(base)
    for prompt in prompts(4, seed=3):
        ids = torch.tensor([prompt])
        expected = base.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20)
        assert list(engine.submit(Request(prompt, 20)).result().ids) == expected[0, len(prompt) :].tolist()
    engine.close()


def test_draws_follow_the_distribution(base):
    engine = Engine(base)
    prompt, temperature, count = prompts(1, seed=4)[0], 0.7, 1500
    futures = [engine.submit(Request(prompt, 1, temperature, seed)) for seed in range(count)]
    drawn = [future.result().ids[0] for future in futures]
    with torch.no_grad():
        expected = (base.model(input_ids=torch.tensor([prompt])).logits[0, -1] / temperature).softmax(-1)
    likely = expected.topk(5)
    for probability, token in zip(likely.values.tolist(), likely.indices.tolist(), strict=True):
        sigma = (probability * (1 - probability) / count) ** 0.5
        assert drawn.count(token) / count == pytest.approx(probability, abs=4 * sigma)
    engine.close()


def test_a_shared_seed_is_not_shared_luck(base):
    """Calls of one seed draw apart: one random number for all would take them all from the same end."""
    engine = Engine(base)
    futures = [engine.submit(Request(prompt, 1, 1.0, seed=11)) for prompt in prompts(200, seed=5)]
    drawn = [future.result().ids[0] for future in futures]
    assert max(map(drawn.count, drawn)) < 20
    assert min(drawn) < base.model.config.vocab_size / 10
    assert max(drawn) > base.model.config.vocab_size * 9 / 10
    engine.close()


def test_rows_end_where_they_should(base, tokenizer):
    engine = Engine(base)
    end = tokenizer.eos_token_id
    completions = [engine.submit(Request(prompt, 60, 1.0, seed=at)) for at, prompt in enumerate(prompts(60, seed=6))]
    results = [future.result() for future in completions]
    for result in results:
        assert end not in result.ids[:-1]
        assert (result.ids[-1] == end) != result.cut
    assert any(result.cut for result in results)
    assert not all(result.cut for result in results)
    stopped = engine.submit(Request(prompts(1, seed=7)[0], 60, stopped=lambda ids: len(ids) == 3)).result()
    assert (len(stopped.ids), stopped.cut) == (3, False)
    engine.close()


def test_the_context_is_a_limit(base):
    engine = Engine(base)
    fits = tuple(range(5, 255)) * 2
    result = engine.submit(Request(fits, 100, 1.0, seed=1)).result()
    assert len(result.ids) <= base.context - len(fits) == 12
    with pytest.raises(BadInputError, match="512 tokens and the context of .* is 512"):
        engine.submit(Request((*fits, *range(5, 17)), 1))
    engine.close()


def test_a_limit_of_memory_only_makes_batches_smaller(base):
    config = base.model.config
    size = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4  # bytes of a token
    engine = Engine(base, kv_bytes=3 * 140 * size)
    futures = [engine.submit(Request(prompt, 30, 1.0, seed=1)) for prompt in prompts(20, seed=8)]
    expected = [future.result().ids for future in futures]
    engine.close()
    wide = Engine(base)
    again = [wide.submit(Request(prompt, 30, 1.0, seed=1)) for prompt in prompts(20, seed=8)]
    assert [future.result().ids for future in again] == expected
    wide.close()


def test_rows_join_a_running_batch(base):
    """A call that comes later does not wait until a long one has finished."""
    engine = Engine(base)
    slow = Request(prompts(1, seed=9)[0], 400, stopped=lambda ids: time.sleep(0.01) or len(ids) >= 300)
    slow.future.add_done_callback(lambda _: None)
    engine.submit(slow)
    wait_until(lambda: engine.running)
    engine.submit(Request(prompts(1, seed=10)[0], 5)).result(timeout=20)
    assert not slow.future.done()
    slow.future.cancel()
    engine.close()


def test_two_adapters_take_turns_and_none_starves(engine, adapters):
    """Requests of several adapters that are queued together are all answered, each by its own adapter."""
    prompt = prompts(1, seed=11)[0]
    requests = [Request(prompt, 10, 1.0, seed=at // 3, adapter=adapters[at % 3]) for at in range(30)]
    for request in requests:
        engine.submit(request)
    by_adapter = [{request.future.result().ids for request in requests[at::3]} for at in range(3)]
    assert not set.intersection(*by_adapter)


def test_a_cancelled_call_leaves_the_batch(base):
    engine = Engine(base)
    prompt = next(p for p in prompts(20, seed=12) if engine.submit(Request(p, 400)).result().cut)
    written: list[int] = []
    request = Request(prompt, 400, stopped=lambda ids: written.append(len(ids)) or time.sleep(0.02))
    engine.submit(request)
    wait_until(lambda: engine.running)
    request.future.cancel()
    assert engine.submit(Request(prompts(1, seed=13)[0], 3)).result(timeout=20).ids
    wait_until(lambda: not engine.running)
    assert len(written) < 300
    engine.close()


def test_a_failure_reaches_everybody_who_waits_and_the_engine_goes_on(base):
    engine = Engine(base)
    failing = threading.Event()

    def stopped(ids) -> bool:
        if failing.is_set():
            raise RuntimeError("no memory left")
        return False

    waiting = [Request(prompt, 400, 1.0, 1, stopped=stopped) for prompt in prompts(5, seed=14)]
    for request in waiting:
        engine.submit(request)
    failing.set()
    for request in waiting:
        with pytest.raises(RuntimeError, match="no memory left"):
            request.future.result(timeout=20)
    prompt = prompts(1, seed=15)[0]
    after = engine.submit(Request(prompt, 10)).result(timeout=20)
    assert after.logprobs == pytest.approx(engine.score(prompt, after.ids), abs=1e-4)
    engine.close()


def test_probabilities_that_are_no_numbers_are_an_error(model_folder):
    from langgraph_ratchet.chat_models import base as base_module

    broken = base_module._load("tiny", model_folder, "float32", "cpu")
    broken.model.get_output_embeddings().weight.data.fill_(float("nan"))
    engine = Engine(broken)
    with pytest.raises(GenerationError, match="not numbers"):
        engine.submit(Request((5, 6, 7), 5)).result(timeout=20)
    engine.close()


def test_a_closed_engine_says_so(base):
    engine = Engine(base)
    waiting = [
        engine.submit(Request(prompt, 300, stopped=lambda ids: time.sleep(0.01) or False))
        for prompt in prompts(3, seed=16)
    ]
    engine.close()
    for future in waiting:
        with pytest.raises(GenerationError, match="closed"):
            future.result(timeout=5)
    with pytest.raises(BadInputError, match="closed"):
        engine.submit(Request((5, 6), 5))


def test_one_engine_for_one_base(base, model_folder):
    assert engine_of(base) is engine_of(load_base(str(model_folder), device="cpu"))


@pytest.mark.parametrize("family", ["qwen3", "mistral_sliding", "gemma3"])
def test_other_architectures_are_exact_too(family, tmp_path, tokenizer):
    """Grouped keys, norms on heads, and sliding windows shorter than the prompt."""
    from dataclasses import replace

    from transformers import AutoModelForCausalLM, Gemma3TextConfig, MistralConfig, Qwen3Config

    size = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
    size |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.2}
    config = {
        "qwen3": lambda: Qwen3Config(**size),
        "mistral_sliding": lambda: MistralConfig(**size, sliding_window=16),
        "gemma3": lambda: Gemma3TextConfig(**size, sliding_window=16, query_pre_attn_scalar=8),
    }[family]()
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    base = load_base_like(tokenizer, model)
    engine = Engine(replace(base))
    requests = [Request(prompt, 20, 1.0, seed=1) for prompt in prompts(12, seed=17, shared=True)]
    for request in requests:
        engine.submit(request)
    for request in requests:
        completion = request.future.result(timeout=60)
        expected = plain_logprobs(model, request.prompt_ids, completion.ids)
        assert completion.logprobs == pytest.approx(expected, abs=1e-4)
    engine.close()


def test_layers_that_are_not_attention_are_refused(tokenizer):
    from transformers import AutoModelForCausalLM, Qwen3NextConfig

    config = Qwen3NextConfig(
        vocab_size=300, hidden_size=32, intermediate_size=32, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16,
        shared_expert_intermediate_size=16, linear_num_key_heads=2, linear_num_value_heads=2,
        linear_key_head_dim=8, linear_value_head_dim=8,
    )  # fmt: skip
    with pytest.raises(BadInputError, match="linear_attention"):
        Engine(load_base_like(tokenizer, AutoModelForCausalLM.from_config(config)))


def load_base_like(tokenizer, model):
    from pathlib import Path

    from langgraph_ratchet.chat_models.base import Base
    from langgraph_ratchet.core.call import Fingerprint

    fingerprint = Fingerprint(base="", tokenizer="", template="")
    return Base(name="made", path=Path(), model=model, tokenizer=tokenizer, fingerprint=fingerprint)
