"""The conformance checks over every strategy; a new file is tested by being there."""

from collections.abc import Callable

import pytest

from langgraph_ratchet.core.errors import ConformanceError
from langgraph_ratchet.reasoning.conformance import CHECKS, check_instruction, check_name, check_when
from langgraph_ratchet.reasoning.strategy import Strategy, get_strategy, strategies, strategy_names


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", strategy_names())
def test_every_strategy_keeps_what_strategies_promise(name: str, check: Callable[[Strategy], None]) -> None:
    check(get_strategy(name))


def test_the_strategies_are_the_files_of_their_folder() -> None:
    assert tuple(strategies()) == ("abductive", "analogical", "causal", "deductive", "direct", "inductive")


@pytest.mark.parametrize(
    ("check", "strategy", "said"),
    [
        (check_name, Strategy("step2", "always", "Go."), "one lower-case word"),
        (check_when, Strategy("mine", "a choice; of two", "Go."), "no semicolon"),
        (check_when, Strategy("mine", get_strategy("direct").when, "Go."), "tells it apart"),
        (check_instruction, Strategy("mine", "always", "Fill in {names}."), "no braces"),
        (check_instruction, Strategy("mine", "always", "Go.\nOn."), "one line"),
        (check_instruction, Strategy("mine", "always", "Go on. " * 50), "1 to 300 characters"),
    ],
)
def test_what_would_spoil_a_prompt_is_refused(check: Callable[[Strategy], None], strategy: Strategy, said: str) -> None:
    with pytest.raises(ConformanceError, match=said):
        check(strategy)
