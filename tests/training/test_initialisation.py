"""The initial weights copy before anything is learned."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.training.initialisation import initialise


def llama(**shape: int) -> LlamaForCausalLM:
    """A Llama with the pocket model's width, but for what `shape` says."""
    sizes = {
        "vocab_size": 256,
        "hidden_size": 192,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    }
    rope = {"rope_type": "default", "rope_theta": 1000.0}
    return LlamaForCausalLM(LlamaConfig(**{**sizes, **shape}, tie_word_embeddings=True, rope_parameters=rope)).eval()


def copied(model: LlamaForCausalLM) -> float:
    """Share of tokens foretold in the second half of sequences that say 20 random tokens twice."""
    torch.manual_seed(0)
    half_BT = torch.randint(0, 256, (16, 20))
    ids_BT = torch.cat([half_BT, half_BT], dim=1)
    with torch.no_grad():
        foretold_BT = model(ids_BT).logits.argmax(-1)
    return float((foretold_BT[:, 20:-1] == ids_BT[:, 21:]).float().mean())


def test_a_fresh_model_copies_and_an_ordinary_one_does_not() -> None:
    model = llama()
    assert copied(model) < 0.05
    initialise(model, seed=1)
    assert copied(model) > 0.4


def test_the_seed_decides_the_weights() -> None:
    one, same, other = llama(), llama(), llama()
    initialise(one, seed=1)
    initialise(same, seed=1)
    initialise(other, seed=2)
    weights = [model.model.layers[1].mlp.up_proj.weight for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("shape", [{"num_attention_heads": 2, "num_key_value_heads": 2}, {"num_hidden_layers": 1}])
def test_a_shape_without_room_for_copying_heads_is_refused(shape: dict[str, int]) -> None:
    with pytest.raises(BadInputError, match="cannot be made to copy"):
        initialise(llama(**shape), seed=0)
