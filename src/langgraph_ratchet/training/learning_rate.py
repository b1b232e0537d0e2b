"""The learning rate over a run."""

import math

_LOWEST = 0.05


def learning_rate(step: int, steps: int, *, highest: float, warmup: float) -> float:
    """Learning rate of one step: it rises linearly, then falls along a cosine to a twentieth of `highest`.

    Args:
        step: from 1.
        steps: of the whole run.
        highest: at the end of the rise.
        warmup: share of the steps in which it rises.
    """
    rising = max(1, int(warmup * steps))
    if step <= rising:
        return highest * step / rising
    done = (step - rising) / max(1, steps - rising)
    return highest * (_LOWEST + (1 - _LOWEST) * 0.5 * (1 + math.cos(math.pi * done)))
