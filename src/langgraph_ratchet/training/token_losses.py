"""Loss of a causal model at some tokens only, without computing what the others would need.

The loss stands on the model's own tokens, a quarter of all or less. The vocabulary projection matters only there,
and in a Llama so do the last layer's queries and MLP: they are computed only there. Losses and gradients are the
same as those of the full computation.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def token_losses(model: Any, ids_BT: Tensor, wanted_BT: Tensor) -> Tensor:
    """Cross-entropy, in nats, of each wanted token given the tokens before it.

    Args:
        model: a transformers causal model; LoRA layers may have been put into it.
        ids_BT: token ids, int64, padded on the right.
        wanted_BT: bool; which tokens are predicted. The first column and padding must be False.

    Returns:
        One loss per wanted token, in row-major order of `wanted_BT`, shape (wanted,), float32.
    """
    asked_BT = functional.pad(wanted_BT[:, 1:], (0, 1))
    # With another attention implementation, "no mask" does not mean causal.
    shortcut = model.config.model_type == "llama" and model.config._attn_implementation == "sdpa"
    logits_NV = _llama_logits(model, ids_BT, asked_BT) if shortcut else _logits(model, ids_BT, asked_BT)
    return functional.cross_entropy(logits_NV.float(), ids_BT[wanted_BT], reduction="none")


def _logits(model: Any, ids_BT: Tensor, asked_BT: Tensor) -> Tensor:
    # transformers takes one set of positions for all rows: the union, which is narrow as rows have similar lengths.
    kept_K = asked_BT.any(0).nonzero()[:, 0]
    # No attention mask: attention is causal and padding stands on the right, so no real token sees it.
    logits_BKV = model(input_ids=ids_BT, logits_to_keep=kept_K, use_cache=False).logits
    logits_NV: Tensor = logits_BKV[asked_BT[:, kept_K]]
    return logits_NV


def _llama_logits(model: Any, ids_BT: Tensor, asked_BT: Tensor) -> Tensor:
    decoder = model.model
    hidden_BTD = decoder.embed_tokens(ids_BT)
    positions = torch.arange(ids_BT.shape[1], device=ids_BT.device)[None]
    rotary = decoder.rotary_emb(hidden_BTD, positions)
    for layer in decoder.layers[:-1]:
        hidden_BTD = layer(hidden_BTD, attention_mask=None, position_embeddings=rotary, use_cache=False)
    hidden_ND = _last_layer(decoder.layers[-1], hidden_BTD, asked_BT, rotary)
    logits_NV: Tensor = model.lm_head(decoder.norm(hidden_ND))
    return logits_NV


def _last_layer(layer: Any, hidden_BTD: Tensor, asked_BT: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    attention = layer.self_attn
    batch, length, _ = hidden_BTD.shape
    cosine_TE, sine_TE = rotary[0][0], rotary[1][0]

    # Row b asks at positions place_BQ[b, :asked_B[b]]; the rest of the row is filled with position 0, dropped below.
    asked_B = asked_BT.sum(1)
    filled_BQ = torch.arange(int(asked_B.max()), device=asked_BT.device)[None] < asked_B[:, None]
    place_BQ = torch.zeros(filled_BQ.shape, dtype=torch.long, device=asked_BT.device)
    place_BQ[filled_BQ] = asked_BT.nonzero()[:, 1]

    normed_BTD = layer.input_layernorm(hidden_BTD)
    asking_BQD = normed_BTD.gather(1, place_BQ[..., None].expand(-1, -1, normed_BTD.shape[2]))
    query_BHQE, key_BHTE, value_BHTE = (
        projected.view(batch, projected.shape[1], -1, attention.head_dim).transpose(1, 2)
        for projected in (attention.q_proj(asking_BQD), attention.k_proj(normed_BTD), attention.v_proj(normed_BTD))
    )
    query_BHQE = _rotate(query_BHQE, cosine_TE[place_BQ][:, None], sine_TE[place_BQ][:, None])
    key_BHTE = _rotate(key_BHTE, cosine_TE, sine_TE)
    past_B1QT = (torch.arange(length, device=asked_BT.device) <= place_BQ[..., None])[:, None]
    mixed_BHQE = functional.scaled_dot_product_attention(
        query_BHQE,
        key_BHTE,
        value_BHTE,
        attn_mask=past_B1QT,
        scale=attention.scaling,
        enable_gqa=query_BHQE.shape[1] != key_BHTE.shape[1],
    )
    mixed_ND = mixed_BHQE.transpose(1, 2).flatten(2)[filled_BQ]
    hidden_ND: Tensor = hidden_BTD[asked_BT] + attention.o_proj(mixed_ND)
    return hidden_ND + layer.mlp(layer.post_attention_layernorm(hidden_ND))


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return (x * cosine + torch.cat((-second, first), dim=-1) * sine).to(x.dtype)
