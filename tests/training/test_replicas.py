import copy

import pytest
import torch

from langgraph_ratchet.training.replicas import Replicas


def loss(model, rows):
    x = torch.tensor([[float(row), 1.0] for row in rows])
    return model(x).pow(2).sum(), list(rows)


def test_gradients_are_those_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 3)
    model.bias.requires_grad_(False)
    whole = copy.deepcopy(model)
    loss(whole, range(5))[0].backward()

    with Replicas(model, 3) as replicas:
        assert replicas.gradients(range(5), loss) == [[0, 3], [1, 4], [2]]
    torch.testing.assert_close(model.weight.grad, whole.weight.grad)

    # The replicas see weights that change in the model, and start from no gradient.
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for layer in (model, whole):
            layer.weight.mul_(2)
    whole.zero_grad()
    loss(whole, range(2))[0].backward()
    with replicas:
        assert len(replicas.gradients(range(2), loss)) == 2
    torch.testing.assert_close(model.weight.grad, whole.weight.grad)


def test_an_error_in_a_replica_reaches_the_caller_and_threads_are_put_back() -> None:
    def failing(model, rows):
        raise ValueError("broken row")

    threads = torch.get_num_threads()
    with Replicas(torch.nn.Linear(1, 1), 2) as replicas, pytest.raises(ValueError, match="broken row"):
        replicas.gradients([0, 1], failing)
    assert torch.get_num_threads() == threads
