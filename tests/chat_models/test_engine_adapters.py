"""Adapters side by side: no call waits until those with another adapter have finished."""

import random
import shutil
import threading
import time

import pytest
import torch

from langgraph_ratchet.chat_models.adapters import KEPT, Adapters, resolve_adapter
from langgraph_ratchet.chat_models.base import _load, load_base, processor_bf16
from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.core.errors import BadInputError, CorruptFileError
from langgraph_ratchet.registry import Registry

PROMPT = tuple(random.Random(8).randrange(5, 260) for _ in range(30))


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    return Registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(params=["merged", "beside"])
def engine(request, model_folder):
    base = _load("tiny", model_folder, "float32", "cpu")  # its own: adapters attach to its modules
    engine = Engine(base, Adapters(base, merged_bytes=1 << 30 if request.param == "merged" else 0))
    yield engine
    engine.close()


class Slow:
    """A call that is generated slowly, and what has been heard of it."""

    def __init__(self, engine, adapter, tokens: int = 400) -> None:
        self.heard, self._begun = [], threading.Event()
        self.request = Request(PROMPT, tokens, 1.0, seed=3, adapter=adapter, on_token=self._hear)
        engine.submit(self.request)
        assert self._begun.wait(20)

    def _hear(self, token) -> None:
        self.heard.append(token)
        self._begun.set()
        time.sleep(0.003)


def test_a_stream_goes_on_while_another_adapter_answers(engine, adapter_folders, registry):
    """As when an adapter is promoted: nobody waits, and each call ends with the adapter that it began with."""
    old, new = (resolve_adapter(str(folder), registry) for folder in adapter_folders)
    stream = Slow(engine, old, tokens=60)
    answers, heard = [], []
    for adapter in (new, None, new):
        answers.append(engine.submit(Request(PROMPT, 5, adapter=adapter)).result(timeout=20))
        heard.append(len(stream.heard))
        assert not stream.request.future.done()
    assert heard == sorted(set(heard))  # the stream was heard of in between
    assert answers[0].ids == answers[2].ids != answers[1].ids
    result = stream.request.future.result(timeout=20)
    assert [token.id for token in stream.heard] == list(result.ids)
    assert result.logprobs == pytest.approx(engine.score(PROMPT, result.ids, old), abs=1e-4)
    assert answers[0].logprobs == pytest.approx(engine.score(PROMPT, answers[0].ids, new), abs=1e-4)


def test_more_adapters_than_run_at_once_are_all_served(engine, adapter_folders, registry, tmp_path):
    """Long calls in every place, and a steady supply of more: those with yet other adapters get their turn."""
    copies = [shutil.copytree(adapter_folders[0], tmp_path / f"copy{at}") for at in range(KEPT + 2)]
    adapters = [resolve_adapter(str(folder), registry) for folder in copies]
    expected = engine.submit(Request(PROMPT, 6, adapter=adapters[0])).result(timeout=20).ids
    stopping = threading.Event()

    def supply(adapter, tokens: int) -> None:
        while not stopping.is_set():
            unending = {engine.base.tokenizer.eos_token_id: -100.0}
            engine.submit(Request(PROMPT, tokens, adapter=adapter, logit_bias=unending)).result(timeout=60)

    suppliers = [
        threading.Thread(target=supply, args=(adapter, tokens)) for adapter in adapters[:KEPT] for tokens in (25, 40)
    ]
    for supplier in suppliers:
        supplier.start()
    try:
        for adapter in (*adapters[KEPT:], adapters[0]):
            assert engine.submit(Request(PROMPT, 6, adapter=adapter)).result(timeout=60).ids == expected
    finally:
        stopping.set()
        for supplier in suppliers:
            supplier.join(60)
    assert (engine.running, engine.waiting) == (0, 0)


def test_an_adapter_that_cannot_be_used_fails_its_own_calls(engine, adapter_folders, registry, tmp_path):
    good = resolve_adapter(str(adapter_folders[0]), registry)
    folder = shutil.copytree(adapter_folders[0], tmp_path / "damaged")
    damaged = resolve_adapter(str(folder), registry)
    (folder / "adapter_model.safetensors").write_bytes(b"\0" * 50)
    stream = Slow(engine, good, tokens=40)
    failing = [engine.submit(Request(PROMPT, 5, adapter=damaged)) for _ in range(3)]
    for future in failing:
        with pytest.raises(CorruptFileError, match="damaged"):
            future.result(timeout=20)
    assert len(stream.request.future.result(timeout=20).ids) == len(stream.heard)


def test_a_cancelled_call_leaves_its_batch_at_once_and_no_other(engine, adapter_folders, registry):
    adapters = [None, *(resolve_adapter(str(folder), registry) for folder in adapter_folders)]
    streams = [Slow(engine, adapter) for adapter in adapters]
    assert engine.running == 3
    streams[1].request.future.cancel()
    heard = len(streams[1].heard)
    assert engine.submit(Request(PROMPT, 3, adapter=adapters[1])).result(timeout=20).ids
    assert len(streams[1].heard) <= heard + 1
    assert engine.running == 2
    for stream in streams:
        stream.request.future.cancel()


def test_a_merged_adapter_has_the_precision_of_its_base(model_folder, adapter_folders, registry):
    """Computed in fp32 and rounded once; what the base keeps in fp32 (the angles of positions) stays so."""
    adapter = resolve_adapter(str(adapter_folders[0]), registry)
    full, half = (_load("tiny", model_folder, dtype, "cpu") for dtype in ("float32", "bfloat16"))
    full.model.load_state_dict(half.model.state_dict())
    exact, merged = Adapters(full).select(adapter), Adapters(half).select(adapter)
    assert merged is not half.model
    for (name, weight), own in zip(merged.named_parameters(), exact.parameters(), strict=True):
        assert weight.dtype == torch.bfloat16
        assert bool((weight == own.bfloat16()).all()), name
    for (name, buffer), own in zip(merged.named_buffers(), half.model.buffers(), strict=True):
        assert (buffer.dtype, bool((buffer == own).all())) == (own.dtype, True), name
    engine = Engine(half)
    result = engine.submit(Request(PROMPT, 20, 1.0, seed=1, adapter=adapter)).result(timeout=20)
    with torch.no_grad():
        ids = torch.tensor([[*PROMPT, *result.ids]])
        own = exact(input_ids=ids).logits[0, len(PROMPT) - 1 : -1].log_softmax(-1)
    expected = [row[token].item() for row, token in zip(own, result.ids, strict=True)]
    assert result.logprobs == pytest.approx(expected, abs=0.3)  # bf16 throughout, and this model's logits are large
    engine.close()


def test_bf16_is_warned_of_only_where_the_processor_has_none(model_folder, tmp_path, recwarn):
    own = shutil.copytree(model_folder, tmp_path / "own")  # loaded by nobody else: the warning comes with the loading
    base = load_base(str(own), dtype="bfloat16", device="cpu")
    assert base.model.dtype == torch.bfloat16
    said = [str(warning.message) for warning in recwarn if "no bf16 instructions" in str(warning.message)]
    assert len(said) == (processor_bf16() is False)


def test_a_processors_flags_say_whether_it_has_bf16(tmp_path):
    for text, has in (("flags : fpu avx2 avx512f", False), ("flags : fpu avx512_bf16", True), ("", None)):
        (tmp_path / "cpuinfo").write_text(text)
        assert processor_bf16(tmp_path / "cpuinfo") is has


def test_a_device_that_is_not_there_is_refused(model_folder):
    with pytest.raises(BadInputError, match="could not be put on the device 'nowhere'"):
        load_base(str(model_folder), device="nowhere")
