"""Initial weights with which a small Llama can copy before it has learned anything.

Copying needs two attention heads that work together, an "induction head" (Olsson et al., 2022): one in the first
layer tells each position which token stands before it, one in the second finds the position whose predecessor equals
the current token and passes on the token there. From random weights a model of this size finds them late: after 2.4 M
tokens of this corpus it copied nothing. So they are put there, and training refines them; a learning rate of 2e-3
destroys them again within a few hundred steps, one of 1e-3 does not.
"""

import math
from typing import Any

import torch
from torch import Tensor

from langgraph_ratchet.core.errors import BadInputError

_STD = 0.02
_EMBEDDING_STD = 0.05
_CONSTANT = 0.3
"""In every embedding's first dimension: what a head reads that looks at positions only."""
_SHARPNESS = 6.0
"""Of the head that looks one position back; logits fall by about this much at its neighbours."""
_MATCH = 30.0
"""Logit of a position whose predecessor equals the current token, over one that does not."""
_COPY = 8.0
"""How strongly the token found is passed on, in units of an embedding."""
_COPYING_HEADS = 2


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is skipped by the type checker
def initialise(model: Any, seed: int) -> None:
    """Fills in all weights of a `LlamaForCausalLM` of at least two layers, with as many key as query heads.

    Args:
        model: its weights are overwritten; the norms keep their ones.
        seed: of every draw.

    Raises:
        BadInputError: the model has too few or too wide heads for it.
    """
    heads, layers = model.config.num_attention_heads, model.config.num_hidden_layers
    if heads <= _COPYING_HEADS or heads != model.config.num_key_value_heads or layers < 2:
        raise BadInputError(
            f"a model of {layers} layers with {heads} heads ({model.config.num_key_value_heads} of keys and values) "
            f"cannot be made to copy: it takes 2 layers, and over {_COPYING_HEADS} heads with keys and values each"
        )
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.normal_(0, _STD, generator=generator)
    embedding_VD = model.model.embed_tokens.weight
    embedding_VD.normal_(0, _EMBEDDING_STD, generator=generator)
    embedding_VD[:, 0] = _CONSTANT
    width = embedding_VD.shape[1]
    size = math.sqrt(_EMBEDDING_STD**2 + _CONSTANT**2 / width)  # root mean square of an embedding
    head = model.config.head_dim or width // model.config.num_attention_heads
    basis_DD = torch.zeros(width - 1, width)
    basis_DD[:, 1:] = torch.linalg.qr(torch.randn(width - 1, width - 1, generator=generator))[0]

    frequencies_F = model.model.rotary_emb.inv_freq
    # Slow rotations hardly change over a prompt, so what stands in them is compared wherever it stands.
    slow = int((frequencies_F < 0.02).sum())
    compared = torch.cat([torch.arange(head // 2 - slow, head // 2), torch.arange(head - slow, head)])
    token_CD = basis_DD[: len(compared)]
    """Directions by which tokens are compared."""
    before_CD = basis_DD[-len(compared) :]
    """Directions that the first layer writes the preceding token's `token_CD` into."""
    _look_back(model.model.layers[0].self_attn, frequencies_F, head, _CONSTANT / size)
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    first.v_proj.weight[:head] = 0
    first.v_proj.weight[: len(compared)] = token_CD
    first.o_proj.weight[:, :head] = 0
    first.o_proj.weight[:, : len(compared)] = before_CD.T * size
    scale = math.sqrt(_MATCH * math.sqrt(head) / len(compared))
    for number in range(_COPYING_HEADS):
        rows = slice(number * head, (number + 1) * head)
        second.q_proj.weight[rows] = 0
        second.k_proj.weight[rows] = 0
        second.q_proj.weight[number * head + compared] = token_CD * scale
        second.k_proj.weight[number * head + compared] = before_CD * scale
        second.v_proj.weight[rows] = basis_DD[rows]
        second.o_proj.weight[:, rows] = basis_DD[rows].T * size * _COPY


def _look_back(attention: Any, frequencies_F: Tensor, head: int, constant: float) -> None:
    """Makes the first head attend one position back, whatever stands there.

    Query and key read the constant alone. Rotary embedding turns their product into the sum of cos(f · (i - j - 1))
    over the fast frequencies f, which is largest where the key j stands right before the query i.
    """
    fast = int((frequencies_F > 0.1).sum())
    size = math.sqrt(_SHARPNESS * math.sqrt(head)) / constant
    attention.q_proj.weight[:head] = 0
    attention.k_proj.weight[:head] = 0
    attention.q_proj.weight[:fast, 0] = size
    attention.k_proj.weight[:fast, 0] = size * torch.cos(frequencies_F[:fast])
    attention.k_proj.weight[head // 2 : head // 2 + fast, 0] = size * torch.sin(frequencies_F[:fast])
