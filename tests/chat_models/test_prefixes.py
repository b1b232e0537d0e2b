"""What was read once is not read again: by the same run, by others, never by another adapter, and within a limit."""

import random

import pytest
import torch

from langgraph_ratchet.chat_models.engine.batch import Batch
from langgraph_ratchet.chat_models.engine.prefixes import Prefixes
from langgraph_ratchet.chat_models.engine.request import Request
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.chat_models.engine.saved import Saved


class Counting(Batch):
    """Counts the tokens that its forward passes read."""

    read = 0

    def _step(self, model, wave):
        self.read += sum(len(row.prompt_ids) - known for row, known in wave)
        super()._step(model, wave)


def prompt(length: int, seed: int) -> tuple[int, ...]:
    draw = random.Random(seed)
    return tuple(draw.randrange(5, 260) for _ in range(length))


def finish(batch: Batch, model, *rows: Row) -> None:
    joining = list(rows)
    with torch.inference_mode():
        while joining or batch.rows:
            batch.advance(model, joining)
            joining = []


@pytest.mark.parametrize("shape", ["ours", "transformers"])
def test_a_runs_next_call_reads_only_what_is_new(base, shape, monkeypatch):
    """Its prompt begins with the former prompt and the reply to it."""
    if shape == "transformers":
        from langgraph_ratchet.chat_models.engine import batch as batch_module

        monkeypatch.setattr(batch_module, "decoder_of", lambda model: None)
    batch, fresh = Counting(base), Counting(base)
    first = Row.of(Request(prompt(60, 1), 20, 1.0, seed=1), 512)
    finish(batch, base.model, first)
    assert batch.read == 60
    # The last token of a reply is chosen and never read.
    following = (*first.prompt_ids, *first.ids, *prompt(7, 2))
    again, alone = (Row.of(Request(following, 15, 1.0, seed=2), 512) for _ in range(2))
    finish(batch, base.model, again)
    assert batch.read == 60 + 8
    finish(fresh, base.model, alone)
    assert (fresh.read, again.ids) == (len(following), alone.ids)
    assert again.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_what_rows_have_in_common_is_read_once(base):
    batch = Counting(base)
    node = prompt(50, 3)
    rows = [Row.of(Request(node + prompt(10, seed), 5), 512) for seed in range(20, 30)]
    finish(batch, base.model, *rows)
    assert batch.read == 60 + 9 * 10


def test_another_adapter_has_its_own(model_folder, adapter_folders):
    """With the keys of the bare base it would not say what it says by itself."""
    from langgraph_ratchet.chat_models.adapters import resolve_adapter
    from langgraph_ratchet.chat_models.base import load_base
    from langgraph_ratchet.chat_models.engine import Engine
    from langgraph_ratchet.registry import Registry

    engine = Engine(load_base(str(model_folder), device="cpu"))
    adapter = resolve_adapter(str(adapter_folders[0]), Registry(model_folder))
    shared = prompt(80, 4)
    for which in (None, adapter, None, adapter):
        completion = engine.submit(Request(shared, 10, 1.0, 5, which)).result(timeout=20)
        assert completion.logprobs == pytest.approx(engine.score(shared, completion.ids, which), abs=1e-4)
    engine.close()


def saved_of(ids: tuple[int, ...]) -> Saved:
    """Stands for the keys and values of `ids`: the ids themselves."""
    keys = torch.tensor(ids, dtype=torch.float32)[None, None, :, None]
    return Saved(keys, keys.clone())


def test_the_longest_known_beginning_is_found_whatever_was_added_and_dropped():
    """Against a list of all sequences, over random trees; a limit only ever loses the ends."""
    draw = random.Random(6)
    for limit in (1 << 30, 400):
        prefixes = Prefixes(limit)
        added: list[tuple[int, ...]] = []
        for _ in range(400):
            ids = tuple(draw.randrange(3) for _ in range(draw.randint(1, 12)))
            stretches, known = prefixes.longest(ids)
            held = [int(key) for stretch in stretches for key in stretch.keys.flatten()]
            best = max((common(ids[:-1], other) for other in added), default=0)
            assert tuple(held) == ids[:known]
            assert known == best if limit > 400 else known <= best
            prefixes.add(ids, lambda start, end, ids=ids: saved_of(ids[start:end]))
            added.append(ids)
            assert prefixes.nbytes == sum(node.saved.nbytes for node in prefixes._used) <= limit


def test_what_is_used_stays():
    prefixes = Prefixes(100 * 8)
    often = tuple(range(20))
    for at in range(50):
        prefixes.add(often, lambda start, end: saved_of(often[start:end]))
        other = tuple(range(1000 + 20 * at, 1020 + 20 * at))
        prefixes.add(other, lambda start, end, other=other: saved_of(other[start:end]))
        assert prefixes.longest((*often, 5))[1] == 20
    assert prefixes.longest((*range(1000, 1020), 5))[1] == 0


def common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
