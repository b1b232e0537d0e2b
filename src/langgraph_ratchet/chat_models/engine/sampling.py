"""From logits to each row's next token.

Shapes: R rows, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.core.errors import GenerationError


def choose(rows: Sequence[Row], logits_RV: Tensor, end_ids: frozenset[int]) -> None:
    """Appends to each row its next token and that token's log-probability, and sees whether it has ended."""
    chosen_R = logits_RV.argmax(-1)
    drawn = [at for at, row in enumerate(rows) if row.request.temperature > 0]
    if drawn:
        chosen_R[drawn] = _draw(logits_RV[drawn], [rows[at] for at in drawn])
    logprobs_R = logits_RV.log_softmax(-1).gather(1, chosen_R[:, None])[:, 0]
    if not bool(logprobs_R.isfinite().all()):
        raise GenerationError("the model gave probabilities that are not numbers: check its weights and adapter")
    for row, token, logprob in zip(rows, chosen_R.tolist(), logprobs_R.tolist(), strict=True):
        row.ids.append(token)
        row.logprobs.append(logprob)
        stopped = row.request.stopped
        row.ended = token in end_ids or (stopped is not None and stopped(row.ids))


def _draw(logits_RV: Tensor, rows: Sequence[Row]) -> Tensor:
    """One token for each row, from its own distribution at its own temperature, by its own next random number."""
    temperatures = [row.request.temperature for row in rows]
    temperatures_R = torch.tensor(temperatures, dtype=torch.float64, device=logits_RV.device)
    draws_R = torch.tensor([row.draws.random() for row in rows], dtype=torch.float64, device=logits_RV.device)
    # Double precision, so that rounding in one batch or another hardly ever moves a draw across a border.
    sums_RV = (logits_RV.double() / temperatures_R[:, None]).softmax(-1).cumsum(-1)
    chosen_R = torch.searchsorted(sums_RV, draws_R[:, None] * sums_RV[:, -1:], right=True)[:, 0]
    return chosen_R.clamp_(max=logits_RV.shape[1] - 1)
