"""What a strategy is. The strategies themselves are one file each in `strategies/`."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from langgraph_ratchet.core.errors import UnknownNameError


@dataclass(frozen=True)
class Strategy:
    """A way to reason. Adding one: a file in `strategies/` with a module constant `STRATEGY`."""

    name: str
    """One lower-case word; the model selects by it."""
    when: str
    """When to select it, in a few words; the model reads this."""
    instruction: str
    """How to go about it, one or two sentences; opens the prompt of `act`."""


@cache
def strategies() -> Mapping[str, Strategy]:
    """Every strategy in `strategies/`, by name, in alphabetical order."""
    from langgraph_ratchet.reasoning import strategies as folder

    modules = (
        importlib.import_module(f"{folder.__name__}.{info.name}") for info in pkgutil.iter_modules(folder.__path__)
    )
    found = [module.STRATEGY for module in modules]
    return {strategy.name: strategy for strategy in sorted(found, key=lambda item: item.name)}


def get_strategy(name: str) -> Strategy:
    """The strategy called `name`.

    Raises:
        UnknownNameError: there is none; the message lists those that exist.
    """
    if name not in strategies():
        raise UnknownNameError("strategy", name, strategies())
    return strategies()[name]
