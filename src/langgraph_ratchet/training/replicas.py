"""Gradients of one batch on several cores: replicas of a model that share its weights, one thread and one core each.

For small models two replicas on one core each are faster than one replica on two cores, and slow down less when
something else runs beside them. It is deterministic: which replica takes which rows, and the order in which
gradients are added, are fixed.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

Measured = TypeVar("Measured")


class Replicas:
    """A context manager: inside it, torch uses one core per thread where there are several replicas.

    Args:
        model: it is the first replica, and gets the gradients.
        count: replicas; with one, torch uses the cores as it does outside.
    """

    def __init__(self, model: torch.nn.Module, count: int) -> None:
        self.models = [model, *(_sharing(model) for _ in range(count - 1))]

    def __enter__(self) -> Self:
        self._threads = torch.get_num_threads()
        each = self._threads if len(self.models) == 1 else 1
        # This thread too: what it computes must not depend on the number of cores.
        torch.set_num_threads(each)
        self._pool = ThreadPoolExecutor(len(self.models), initializer=torch.set_num_threads, initargs=(each,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)

    def gradients(
        self, rows: Sequence[int], loss: Callable[[Any, Sequence[int]], tuple[Tensor, Measured]]
    ) -> list[Measured]:
        """Leaves the gradient of the sum of the parts' losses in the model's `grad`s.

        Args:
            rows: a batch, in order of length; every replica gets a part with rows of all lengths.
            loss: gives the scalar loss of some rows under a replica, and whatever else was measured.

        Returns:
            What was measured, by part.
        """
        parts = [part for part in (rows[i :: len(self.models)] for i in range(len(self.models))) if part]
        jobs = zip(self.models, parts, strict=False)
        futures = [self._pool.submit(_backward, model, part, loss) for model, part in jobs]
        measured = [future.result() for future in futures]
        for replica in self.models[1 : len(parts)]:
            for shared, own in zip(self.models[0].parameters(), replica.parameters(), strict=True):
                if own.grad is not None:
                    shared.grad.add_(own.grad)
                    own.grad = None
        return measured


def _backward(
    model: Any, part: Sequence[int], loss: Callable[[Any, Sequence[int]], tuple[Tensor, Measured]]
) -> Measured:
    value, measured = loss(model, part)
    value.backward()
    return measured


def _sharing(model: torch.nn.Module) -> torch.nn.Module:
    """A copy whose parameters are the model's own memory, with gradients of its own."""
    replica = copy.deepcopy(model)
    for shared, own in zip(model.parameters(), replica.parameters(), strict=True):
        own.data = shared.data
    return replica
