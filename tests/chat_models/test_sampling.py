"""From logits to tokens: every option against a plain reference, and log-probabilities that stay the model's own."""

import math
import random

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.chat_models.engine.sampling import choose
from langgraph_ratchet.core.errors import BadInputError, GenerationError

PROMPT = tuple(random.Random(3).randrange(5, 260) for _ in range(30))
NONE = frozenset[int]()


class Only:
    """A constraint that allows what `allowed` says, a function of how many tokens there are, and keeps a record."""

    def __init__(self, allowed) -> None:
        self._allowed = allowed
        self.remaining, self.accepted = [], []

    def allowed(self, remaining: int):
        self.remaining.append(remaining)
        return self._allowed(len(self.accepted))

    def accept(self, token: int) -> None:
        self.accepted.append(token)


class Failing(Only):
    def __init__(self, allowed, at: str) -> None:
        super().__init__(allowed)
        self._at = at

    def allowed(self, remaining: int):
        if self._at == "allowed" and len(self.accepted) == 2:
            raise KeyError("grammar")
        return super().allowed(remaining)

    def accept(self, token: int) -> None:
        super().accept(token)
        if self._at == "accept" and len(self.accepted) == 2:
            raise KeyError("grammar")


def every_third(vocabulary: int):
    """Allows the tokens whose id leaves the number of those before it as remainder by three."""
    return lambda written: torch.arange(vocabulary) % 3 == written % 3


def plain_logits(model, prompt_ids, completion_ids):
    """[completion, V] by one forward pass, without this package."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([[*prompt_ids, *completion_ids]])).logits[0, len(prompt_ids) - 1 : -1]


def reference(logits, history, request, allowed, draw, shift) -> int:
    """The next token in plain Python. `shift` moves the borders a little: rounding may do so too."""
    scores = list(logits)
    for token, bias in request.logit_bias.items():
        scores[token] += bias
    for token in set(history):
        scores[token] -= request.presence_penalty + request.frequency_penalty * history.count(token)
    scores = [score if ok else -math.inf for score, ok in zip(scores, allowed, strict=True)]
    if request.temperature == 0:
        return max(range(len(scores)), key=scores.__getitem__)
    best = max(scores)
    weights = [math.exp((score - best) / request.temperature) for score in scores]
    shares = [weight / sum(weights) for weight in weights]
    kept, mass = set(), 0.0
    for token in sorted(range(len(shares)), key=lambda token: -shares[token]):
        if request.top_p < 1 and mass >= request.top_p + shift:
            break
        kept.add(token)
        mass += shares[token]
    until = 0.0
    for token, share in enumerate(shares):
        if token in kept:
            until += share
            if until > (draw + shift) * mass:
                return token
    return max(kept)


@st.composite
def asked(draw):
    """Options, as `Request` takes them, over a vocabulary of eight."""
    number = st.floats(-4, 4).map(lambda value: round(value, 2))
    return {
        "temperature": draw(st.sampled_from([0.0, 0.3, 1.0, 1.5])),
        "top_p": draw(st.sampled_from([1.0, 0.9, 0.5, 0.01])),
        "presence_penalty": draw(st.one_of(st.just(0.0), number)),
        "frequency_penalty": draw(st.one_of(st.just(0.0), number)),
        "logit_bias": draw(st.dictionaries(st.integers(0, 7), number, max_size=3)),
        "seed": draw(st.integers(0, 2**40)),
    }


@hypothesis.given(st.lists(asked(), min_size=1, max_size=4), st.integers(0, 2**32), st.data())
@hypothesis.settings(max_examples=120)
def test_every_option_does_what_a_plain_reference_does(options, seed, data):
    torch.manual_seed(seed)
    masks = [data.draw(st.one_of(st.none(), st.integers(1, 255))) for _ in options]
    allowed = [[mask is None or bool(mask >> token & 1) for token in range(8)] for mask in masks]
    rows = []
    for at, option in enumerate(options):
        constraint = None if masks[at] is None else Only(lambda _, at=at: torch.tensor(allowed[at]))
        rows.append(Row.of(Request(PROMPT, 20, constraint=constraint, **option), 100))
    for _ in range(6):
        logits_RV = torch.randn(len(rows), 8) * 2
        draws = []
        for row in rows:
            before = random.Random()
            if row.draws is not None:
                before.setstate(row.draws.getstate())
            draws.append(before.random())
        histories = [list(row.ids) for row in rows]
        choose(rows, logits_RV.clone(), NONE)
        own = logits_RV.log_softmax(-1)
        for at, row in enumerate(rows):
            good = {
                reference(logits_RV[at].tolist(), histories[at], row.request, allowed[at], draws[at], shift)
                for shift in (0.0, 1e-5, -1e-5)
            }
            assert row.ids[-1] in good
            assert row.logprobs[-1] == pytest.approx(own[at, row.ids[-1]].item(), abs=1e-5)


@pytest.mark.parametrize("flatness", [0.01, 1.0, 4.0])
def test_top_p_keeps_the_fewest_tokens_that_reach_it_in_a_large_vocabulary(flatness):
    """Whether that is a handful of tokens or most of thousands."""
    torch.manual_seed(0)
    shares_V = (torch.randn(3000) * flatness).softmax(-1)
    rows = [Row.of(Request(PROMPT, 5, 1.0, seed=at, top_p=0.6), 100) for at in range(400)]
    choose(rows, shares_V.log().repeat(400, 1), NONE)
    ordered = shares_V.sort(descending=True)
    enough = int((ordered.values.cumsum(-1) < 0.6).sum()) + 1
    chosen = {row.ids[0] for row in rows}
    assert chosen <= set(ordered.indices[:enough].tolist())
    assert len(chosen) > min(enough, 300) / 2


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_constraint_is_kept_and_the_logprobs_stay_the_models_own(base, temperature):
    engine = Engine(base)
    vocabulary = base.model.config.vocab_size
    constraints = [Only(every_third(vocabulary)) for _ in range(6)]
    futures = [
        engine.submit(Request(PROMPT[at:], 20, temperature, seed=at, constraint=constraint))
        for at, constraint in enumerate(constraints)
    ]
    free = [engine.submit(Request(PROMPT[at:], 20, temperature, seed=at)) for at in range(6)]
    for at, (future, constraint) in enumerate(zip(futures, constraints, strict=True)):
        result = future.result(timeout=60)
        assert all(token % 3 == place % 3 for place, token in enumerate(result.ids))
        assert constraint.accepted == list(result.ids)
        assert constraint.remaining == list(range(20, 20 - len(result.ids), -1))
        own = plain_logits(base.model, PROMPT[at:], result.ids).log_softmax(-1)
        expected = [row[token].item() for row, token in zip(own, result.ids, strict=True)]
        assert result.logprobs == pytest.approx(expected, abs=1e-4)
    assert any(token % 3 != place % 3 for future in free for place, token in enumerate(future.result().ids))
    engine.close()


def test_the_likeliest_tokens_are_those_of_the_model_whatever_is_asked(base):
    engine = Engine(base)
    plain, vocabulary = {"temperature": 1.0, "seed": 4}, base.model.config.vocab_size
    asked = [
        Request(PROMPT, 15, top_logprobs=5, **plain),
        Request(PROMPT, 15, top_logprobs=2, logit_bias={7: 30.0}, top_p=0.5, **plain),
        Request(PROMPT, 15, top_logprobs=3, presence_penalty=2.0, constraint=Only(every_third(vocabulary)), **plain),
        Request(PROMPT, 15, **plain),
    ]
    for request in asked:
        engine.submit(request)
    for request in asked:
        result = request.future.result(timeout=60)
        assert len(result.tops) == (len(result.ids) if request.top_logprobs else 0)
        best = plain_logits(base.model, PROMPT, result.ids).log_softmax(-1).topk(max(request.top_logprobs, 1))
        for at, top in enumerate(result.tops):
            assert [token for token, _ in top] == best.indices[at].tolist()
            assert [logprob for _, logprob in top] == pytest.approx(best.values[at].tolist(), abs=1e-4)
    assert set(asked[1].future.result().ids) == {7}
    engine.close()


def test_a_listener_hears_each_token_once_in_order(base):
    engine = Engine(base)
    heard = [[] for _ in range(8)]
    futures = [
        engine.submit(
            Request(PROMPT[at:], 30, 1.0, seed=at, top_logprobs=at % 3, on_token=heard[at].append, max_batch=5)
        )
        for at in range(8)
    ]
    for future, tokens in zip(futures, heard, strict=True):
        result = future.result(timeout=60)
        assert [token.id for token in tokens] == list(result.ids)
        assert [token.logprob for token in tokens] == list(result.logprobs)
        assert tuple(token.top for token in tokens if token.top) == result.tops
    engine.close()


def test_what_one_caller_gave_fails_one_row(base):
    """A constraint, check or listener that raises: its own call alone, with the cause."""
    engine = Engine(base)

    def fail(*_) -> bool:
        raise KeyError("mine")

    free = every_third(base.model.config.vocab_size)
    broken = {
        "check for the end": {"stopped": fail},
        "listener": {"on_token": fail},
        "constraint .*allows 0": {"constraint": Only(lambda _: torch.zeros(base.model.config.vocab_size).bool())},
        r"constraint .*\(3,\)": {"constraint": Only(lambda _: torch.ones(3).bool())},
        "constraint .*'grammar'": {"constraint": Failing(free, "allowed")},
        "constraint on the reply": {"constraint": Failing(free, "accept")},
    }
    good = [Request(PROMPT[at:], 12, 1.0, seed=at) for at in range(4)]
    bad = [Request(PROMPT, 12, 1.0, seed=1, **what) for what in broken.values()]
    for request in [good[0], *bad, *good[1:]]:
        engine.submit(request)
    for said, request in zip(broken, bad, strict=True):
        with pytest.raises(GenerationError, match=said) as raised:
            request.future.result(timeout=60)
        assert raised.value.__cause__ is not None
    alone = Engine(base)
    for at, request in enumerate(good):
        expected = alone.submit(Request(PROMPT[at:], 12, 1.0, seed=at)).result(timeout=60)
        assert request.future.result(timeout=60).ids == expected.ids
    engine.close()
    alone.close()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more; got -1.0"),
        ({"temperature": math.nan}, "temperature must be 0 or more"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more"),
        ({"max_batch": 0}, "max_batch must be 1 or more"),
        ({"presence_penalty": math.inf}, "presence_penalty must be a finite number"),
        ({"logit_bias": {4000: 1.0}}, "token 4000; this model has tokens 0 to"),
        ({"logit_bias": {4: math.nan}}, "bias of token 4 must be a finite number"),
        ({"top_logprobs": 4000}, "top_logprobs must be 0 to"),
        ({"prompt_ids": ()}, "no tokens"),
    ],
)
def test_options_outside_their_range_are_refused(base, option, said):
    engine = Engine(base)
    with pytest.raises(BadInputError, match=said):
        engine.submit(Request(**{"prompt_ids": PROMPT, "max_tokens": 5, **option}))
    engine.close()


def test_a_step_asks_nothing_that_a_gpu_or_apples_mps_is_bad_at(model_folder):
    """No number in double precision, which MPS lacks, and no waiting for a result until all are fetched together."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from langgraph_ratchet.chat_models.base import _load
    from langgraph_ratchet.chat_models.engine.batch import Batch

    base = _load("tiny", model_folder, "float32", "cpu")
    base.model.__class__ = type("Other", (type(base.model),), {})  # runs as on a GPU, by the pass of transformers

    class Watch(TorchDispatchMode):
        waits, doubles = 0, 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            Watch.waits += function is torch.ops.aten._local_scalar_dense.default
            Watch.doubles += isinstance(result, torch.Tensor) and result.dtype == torch.float64
            return result

    batch = Batch(base)
    rows = [Row.of(Request(PROMPT[at:], 9, at / 2, seed=1, presence_penalty=at % 2), 100) for at in range(4)]
    with torch.inference_mode(), Watch():
        batch.advance(base.model, rows)
        for _ in range(5):
            batch.advance(base.model, [])
    assert min(len(row.ids) for row in rows) > 1
    assert (Watch.waits, Watch.doubles) == (0, 0)
