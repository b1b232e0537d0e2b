"""What a strategy is. The strategies themselves are one file each in `strategies/`, or other packages' entry points."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph_ratchet.core.plugins import Kind


@dataclass(frozen=True)
class Strategy:
    """A way to reason. Adding one: a file in `strategies/` with a module constant `STRATEGY`."""

    name: str
    """One lower-case word; the model selects by it."""
    when: str
    """When to select it, in a few words; the model reads this."""
    instruction: str
    """How to go about it, one or two sentences; opens the prompt of `act`."""


def _is_strategy(name: str, strategy: Any) -> Strategy:
    if not isinstance(strategy, Strategy):
        raise TypeError(f"it is a {type(strategy).__name__}")
    if strategy.name != name:
        raise ValueError(f"the strategy calls itself {strategy.name!r}")
    return strategy


STRATEGIES = Kind(
    noun="strategy",
    folder="langgraph_ratchet.reasoning.strategies",
    group="langgraph_ratchet.strategies",
    attribute="STRATEGY",
    wanted="a Strategy of that name",
    accept=_is_strategy,
)
"""Where strategies are found."""


def strategies() -> Mapping[str, Strategy]:
    """The built-in strategies by name, in alphabetical order: the ones that a model selects from by default.

    Those of other packages are selected from only when they are asked for: a model knows the ones it was taught.
    """
    return {name: get_strategy(name) for name in STRATEGIES.built_in()}


def strategy_names() -> tuple[str, ...]:
    """Names of all strategies, the built-in ones and those of other packages, sorted."""
    return STRATEGIES.names()


def get_strategy(name: str) -> Strategy:
    """The strategy called `name`.

    Raises:
        UnknownNameError: there is none; the message lists those that exist.
        PluginError: another package's strategy cannot be used.
    """
    return STRATEGIES.load(name)
