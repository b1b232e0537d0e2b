"""Loss of a Llama model at some positions only, without computing what those positions do not need.

In pretraining the loss stands on a quarter of the tokens. The last layer's queries and MLP, the final norm and
the vocabulary projection matter only there, so they are computed only there. The gradient is exactly the same.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def losses_at(model: Any, ids_BT: Tensor, wanted_BT: Tensor) -> Tensor:
    """Cross-entropy, in nats, of each wanted token given the tokens before it.

    Args:
        model: a transformers `LlamaForCausalLM`.
        ids_BT: token ids, int64, padded on the right.
        wanted_BT: bool; which tokens are predicted. The first column and padding must be False.

    Returns:
        One loss per wanted token, in row-major order of `wanted_BT`, shape (wanted,).
    """
    asked_BT = functional.pad(wanted_BT[:, 1:], (0, 1))
    hidden_ND = _hidden_at(model.model, ids_BT, asked_BT)
    logits_NV = functional.linear(hidden_ND, model.lm_head.weight)
    return functional.cross_entropy(logits_NV, ids_BT[wanted_BT], reduction="none")


def _hidden_at(decoder: Any, ids_BT: Tensor, asked_BT: Tensor) -> Tensor:
    hidden_BTD = decoder.embed_tokens(ids_BT)
    positions = torch.arange(ids_BT.shape[1], device=ids_BT.device)[None]
    rotary = decoder.rotary_emb(hidden_BTD, positions)
    for layer in decoder.layers[:-1]:
        # No attention mask: attention is causal and padding stands on the right, so no real token sees it.
        hidden_BTD = layer(hidden_BTD, attention_mask=None, position_embeddings=rotary, use_cache=False)
    normed: Tensor = decoder.norm(_last_layer_at(decoder.layers[-1], hidden_BTD, asked_BT, rotary))
    return normed


def _last_layer_at(layer: Any, hidden_BTD: Tensor, asked_BT: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    attention = layer.self_attn
    batch, length, _ = hidden_BTD.shape
    heads_shape = (batch, -1, attention.config.num_key_value_heads, attention.head_dim)
    cosine_TE, sine_TE = rotary[0][0], rotary[1][0]

    # Row b asks at positions place_BQ[b, :asked[b]]; the rest of the row is filled with position 0 and dropped below.
    asked_B = asked_BT.sum(1)
    filled_BQ = torch.arange(int(asked_B.max()), device=asked_BT.device)[None] < asked_B[:, None]
    place_BQ = torch.zeros(filled_BQ.shape, dtype=torch.long, device=asked_BT.device)
    place_BQ[filled_BQ] = asked_BT.nonzero()[:, 1]

    normed_BTD = layer.input_layernorm(hidden_BTD)
    key_BHTE = attention.k_proj(normed_BTD).view(heads_shape).transpose(1, 2)
    value_BHTE = attention.v_proj(normed_BTD).view(heads_shape).transpose(1, 2)
    asking_BQD = normed_BTD.gather(1, place_BQ[..., None].expand(-1, -1, normed_BTD.shape[2]))
    query_BHQE = attention.q_proj(asking_BQD).view(batch, place_BQ.shape[1], -1, attention.head_dim).transpose(1, 2)
    query_BHQE = _rotate(query_BHQE, cosine_TE[place_BQ][:, None], sine_TE[place_BQ][:, None])
    key_BHTE = _rotate(key_BHTE, cosine_TE, sine_TE)
    past_B1QT = (torch.arange(length, device=asked_BT.device) <= place_BQ[..., None])[:, None]
    mixed_BHQE = functional.scaled_dot_product_attention(
        query_BHQE, key_BHTE, value_BHTE, attn_mask=past_B1QT, enable_gqa=query_BHQE.shape[1] != key_BHTE.shape[1]
    )
    mixed_ND = mixed_BHQE.transpose(1, 2).flatten(2)[filled_BQ]
    hidden_ND: Tensor = hidden_BTD[asked_BT] + attention.o_proj(mixed_ND)
    return hidden_ND + layer.mlp(layer.post_attention_layernorm(hidden_ND))


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine
