"""From logits to each row's next token.

The recorded log-probability is the model's own, at temperature 1. What a token is chosen by may differ from it, in this
order: bias and penalties, the constraint, the temperature, then `top_p`. Whatever a caller gave (a constraint, a
callback) fails its own row only.

Shapes: R rows, V vocabulary, K rows of which something is asked that is not asked of all.
"""

import math
from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor

from langgraph_ratchet.chat_models.engine.request import Request, Token
from langgraph_ratchet.chat_models.engine.row import Row, Top
from langgraph_ratchet.core.errors import BadInputError

_USUALLY_ENOUGH = 128
"""So many of the likeliest tokens hold most of the probability, mostly."""


def check_options(request: Request, vocabulary: int) -> None:
    """Raises `BadInputError` for an option outside its range; `vocabulary` is the number of token ids."""
    wanted = {
        "max_tokens": (request.max_tokens, "1 or more", request.max_tokens >= 1),
        "max_batch": (request.max_batch, "1 or more", request.max_batch >= 1),
        "temperature": (request.temperature, "0 or more", 0 <= request.temperature < math.inf),
        "top_p": (request.top_p, "above 0 and at most 1", 0 < request.top_p <= 1),
        "presence_penalty": (request.presence_penalty, "a finite number", math.isfinite(request.presence_penalty)),
        "frequency_penalty": (request.frequency_penalty, "a finite number", math.isfinite(request.frequency_penalty)),
        "top_logprobs": (request.top_logprobs, f"0 to {vocabulary}", 0 <= request.top_logprobs <= vocabulary),
    }
    for name, (value, allowed, good) in wanted.items():
        if not good:
            raise BadInputError(f"{name} must be {allowed}; got {value!r}")
    for token, bias in request.logit_bias.items():
        if not 0 <= token < vocabulary:
            raise BadInputError(f"logit_bias names token {token!r}; this model has tokens 0 to {vocabulary - 1}")
        if not math.isfinite(bias):
            raise BadInputError(f"the bias of token {token} must be a finite number; got {bias!r}")


def choose(rows: Sequence[Row], logits_RV: Tensor, end_ids: frozenset[int]) -> None:
    """Appends to each row its next token and that token's log-probability, and sees whether it has ended.

    A row whose caller's code failed gets no token: it has ended, with the error.
    """
    logprobs_RV = logits_RV.log_softmax(-1)
    shaped = [at for at, row in enumerate(rows) if row.shaped]
    scores_RV = _shape(rows, shaped, logits_RV) if shaped else logits_RV
    chosen_R = _choose(rows, scores_RV)
    own_R = logprobs_RV.gather(1, chosen_R[:, None])[:, 0]
    if shaped:
        # Nothing that is forbidden may come of rounding, or of a model that gives all that is allowed no chance.
        own_R = own_R.where(scores_RV.gather(1, chosen_R[:, None])[:, 0] > -math.inf, math.nan)
    # One transfer for both: the bits of the log-probabilities travel as integers.
    host_2R = torch.stack((chosen_R.int(), own_R.view(torch.int32))).cpu()
    tokens, logprobs = host_2R[0].tolist(), host_2R[1].view(torch.float32).tolist()
    tops = _tops(rows, logprobs_RV)
    for at, (row, token, logprob) in enumerate(zip(rows, tokens, logprobs, strict=True)):
        if row.error is not None:
            continue
        if not math.isfinite(logprob):
            row.fail(_NO_NUMBER)
            continue
        row.ids.append(token)
        row.logprobs.append(logprob)
        if token in end_ids:
            row.ended = True
        if row.watched:
            _tell(row, token, logprob, tops.get(at, ()))


_NO_NUMBER = (
    "the model gave probabilities that are not numbers, or none to any token that is allowed: "
    "check its weights and adapter"
)


def _shape(rows: Sequence[Row], shaped: Sequence[int], logits_RV: Tensor) -> Tensor:
    """A copy of the logits with biases and penalties added, and minus infinity where a constraint forbids."""
    scores_RV = logits_RV.clone()
    at_rows: list[int] = []
    at_tokens: list[int] = []
    amounts: list[float] = []
    for at in shaped:
        adjustments = rows[at].adjustments
        at_rows.extend(repeat(at, len(adjustments)))
        at_tokens.extend(adjustments)
        amounts.extend(adjustments.values())
    if amounts:
        device = scores_RV.device
        places = torch.tensor((at_rows, at_tokens), device=device)
        scores_RV[places[0], places[1]] += torch.tensor(amounts, dtype=scores_RV.dtype, device=device)
    masks: dict[int, Tensor] = {}
    for at in shaped:
        mask_V = _allowed(rows[at], scores_RV.shape[1])
        if mask_V is not None:
            masks[at] = mask_V
    if masks:
        forbidden_KV = ~torch.stack(list(masks.values())).to(scores_RV.device)
        if len(masks) == len(rows):
            return scores_RV.masked_fill_(forbidden_KV, -math.inf)
        scores_RV[list(masks)] = scores_RV[list(masks)].masked_fill(forbidden_KV, -math.inf)
    return scores_RV


def _allowed(row: Row, vocabulary: int) -> Tensor | None:
    """What the row's constraint allows next; `None` if it has none. A constraint that fails fails the row."""
    constraint = row.request.constraint
    if constraint is None or row.error is not None:
        return None
    try:
        mask_V = constraint.allowed(row.max_tokens - len(row.ids))
        if mask_V.shape != (vocabulary,) or not bool(mask_V.any()):
            raise ValueError(
                f"of {tuple(mask_V.shape)} tokens it allows {int(mask_V.sum())}; wanted one of {vocabulary}"
            )
    except Exception as error:
        row.fail("the constraint on the reply failed", error)
        return None
    return mask_V


def _choose(rows: Sequence[Row], scores_RV: Tensor) -> Tensor:
    """The likeliest token of each greedy row, a drawn one of each other."""
    drawn = [at for at, row in enumerate(rows) if row.temperature > 0]
    if len(drawn) == len(rows):
        return _draw(rows, scores_RV)
    chosen_R = scores_RV.argmax(-1)
    if drawn:
        chosen_R[drawn] = _draw([rows[at] for at in drawn], scores_RV[drawn])
    return chosen_R


def _draw(rows: Sequence[Row], scores_RV: Tensor) -> Tensor:
    """One token for each row, from its own distribution at its own temperature, by its own next random number."""
    device = scores_RV.device
    temperatures = [row.temperature for row in rows]
    if any(temperature != 1 for temperature in temperatures):
        scores_RV = scores_RV / torch.tensor(temperatures, device=device)[:, None]
    shares_RV = scores_RV.softmax(-1)
    if cut := [at for at, row in enumerate(rows) if row.request.top_p < 1]:
        limits_K = torch.tensor([rows[at].request.top_p for at in cut], device=device)
        shares_RV[cut] = _likeliest(shares_RV[cut], limits_K)
    sums_RV = shares_RV.cumsum(-1)
    # The draws come last: a step that runs out of memory above is taken again, and has used up none.
    draws_R = torch.tensor([row.draws.random() for row in rows if row.draws is not None], device=device)
    chosen_R = torch.searchsorted(sums_RV, draws_R[:, None] * sums_RV[:, -1:], right=True)[:, 0]
    chosen_R.clamp_(max=scores_RV.shape[1] - 1)
    if cut or any(row.shaped for row in rows):
        # Where sums are formed in parallel, rounding may make room for a token of no share.
        shut_R = shares_RV.gather(1, chosen_R[:, None])[:, 0] == 0
        chosen_R = shares_RV.argmax(-1).where(shut_R, chosen_R)
    return chosen_R


def _likeliest(shares_KV: Tensor, limits_K: Tensor, count: int = _USUALLY_ENOUGH) -> Tensor:
    """The shares of the likeliest tokens that together reach the limit, 0 for all others.

    Args:
        shares_KV: of each token.
        limits_K: share that is enough.
        count: how many of the likeliest to look among at first, since sorting all takes long.
    """
    vocabulary = shares_KV.shape[1]
    best = shares_KV.topk(min(count, vocabulary))
    sums_KC = best.values.cumsum(-1)
    before_KC = sums_KC - best.values
    before_KC[:, 0] = 0
    kept_KC = best.values.masked_fill(before_KC >= limits_K[:, None], 0)
    kept_KV = torch.zeros_like(shares_KV).scatter_(1, best.indices, kept_KC)
    short_K = sums_KC[:, -1] < limits_K
    if count < vocabulary and bool(short_K.any()):
        kept_KV[short_K] = _likeliest(shares_KV[short_K], limits_K[short_K], vocabulary)
    return kept_KV


def _tops(rows: Sequence[Row], logprobs_RV: Tensor) -> dict[int, Top]:
    """The likeliest tokens of each row that wants to know them."""
    asking = [at for at, row in enumerate(rows) if row.request.top_logprobs]
    if not asking:
        return {}
    most = max(rows[at].request.top_logprobs for at in asking)
    best = logprobs_RV[asking].topk(most)
    pairs = zip(asking, best.indices.tolist(), best.values.tolist(), strict=True)
    return {at: tuple(zip(ids, values, strict=True))[: rows[at].request.top_logprobs] for at, ids, values in pairs}


def _tell(row: Row, token: int, logprob: float, top: Top) -> None:
    """Tells the row's constraint, penalties, check for its end, and listener of its new token."""
    request, what = row.request, "the constraint on the reply failed"
    try:
        if request.constraint is not None:
            request.constraint.accept(token)
        if row.penalised:
            less = request.frequency_penalty + (0.0 if token in row.seen else request.presence_penalty)
            row.adjustments[token] = row.adjustments.get(token, 0.0) - less
            row.seen.add(token)
        if request.top_logprobs:
            row.tops.append(top)
        what = "the check for the end of the reply failed"
        if request.stopped is not None and request.stopped(row.written):
            row.ended = True
        what = "the listener to the reply's tokens failed"
        if request.on_token is not None:
            request.on_token(Token(token, logprob, top))
    except Exception as error:
        row.fail(what, error)
