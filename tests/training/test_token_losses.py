import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from langgraph_ratchet.training.token_losses import token_losses


@pytest.mark.parametrize(("attention", "kv_heads"), [("sdpa", 4), ("sdpa", 2), ("eager", 4)])
def test_losses_and_gradients_are_those_of_the_full_computation(attention: str, kv_heads: int) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=True,
        # Wide, so that attention is far from uniform and a wrong position or mask shows.
        initializer_range=0.3,
        attn_implementation=attention,
    )
    model = LlamaForCausalLM(config)
    ids_BT = torch.randint(0, 50, (5, 30))
    wanted_BT = torch.rand(5, 30) < 0.3
    wanted_BT[:, 0] = False
    wanted_BT[0, 12:] = False  # a short row: the rest is padding
    wanted_BT[2] = False
    wanted_BT[2, 7] = True

    logits_BTV = model(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT)).logits[:, :-1]
    all_losses = torch.nn.functional.cross_entropy(logits_BTV.transpose(1, 2), ids_BT[:, 1:], reduction="none")
    expected_N = all_losses[wanted_BT[:, 1:]]
    expected_N.sum().backward()
    expected_gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()

    losses_N = token_losses(model, ids_BT, wanted_BT)
    losses_N.sum().backward()

    torch.testing.assert_close(losses_N, expected_N, rtol=1e-5, atol=1e-5)
    for expected, parameter in zip(expected_gradients, model.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=1e-4)
