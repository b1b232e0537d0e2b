"""Fresh practice problems each round, for as long as there are any."""

from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.progress import silent
from langgraph_ratchet.improvement.measuring import further_seed, held_out_sets
from langgraph_ratchet.improvement.nodes.diagnose import settle
from langgraph_ratchet.improvement.nodes.propose import propose, read_problems
from langgraph_ratchet.improvement.nodes.remember import remember
from langgraph_ratchet.improvement.state import new_round


def practise(workplace: Any, rounds: int) -> list[Any]:
    """What `propose` gives in each round."""
    state = settle({**workplace.settings, "rounds": rounds})
    return [
        propose({**state, **new_round(number, None)}, workplace.services, silent) for number in range(1, rounds + 1)
    ]


def use_suite(workplace: Any, which: str, **values: Any) -> None:
    path = Path(workplace.settings[which])
    text = path.read_text()
    for name, value in values.items():
        text = "\n".join(f"{name} = {value}" if line.startswith(f"{name} =") else line for line in text.splitlines())
    path.write_text(text)


def test_no_problem_is_practised_twice(workplace: Any) -> None:
    given = practise(workplace, 5)
    ids = [problem.id for update in given for problem in read_problems(update["practice_problems"])]
    assert len(ids) == len(set(ids)) == 5 * 10
    assert all(update["proposed"] == {"fresh": 10, "again": 0} for update in given)


def test_a_round_that_is_proposed_again_is_the_same(workplace: Any) -> None:
    once, twice = practise(workplace, 2)[1], practise(workplace, 2)[1]
    assert once == twice


def test_when_a_level_is_used_up_its_problems_come_again_and_that_is_said(
    workplace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_ratchet.problems.generate._DRAWS_PER_PROBLEM", 5)  # 200 would take long
    use_suite(workplace, "practice", family='"weekday"', levels="[1]", count=1500)
    first, second = (update["proposed"] for update in practise(workplace, 2))
    assert first == {"fresh": 1500, "again": 0}
    assert second["fresh"] > 0
    assert second["again"] > 0
    assert second["fresh"] + second["again"] == 1500


@pytest.mark.parametrize(("fresh", "candidate", "over"), [(10, None, False), (0, None, True), (0, "v_1", False)])
def test_a_run_ends_early_only_when_the_next_round_would_be_the_same(
    workplace: Any, fresh: int, candidate: str | None, over: bool
) -> None:
    state = {
        **settle({**workplace.settings, "rounds": 3}),
        **new_round(1, None),
        "history": [],
        "candidate": candidate,
        "stopped": None if candidate else "no rollout was fit to learn from",
        "proposed": {"fresh": fresh, "again": 10 - fresh},
    }
    update = remember(state, workplace.services, silent)
    assert (update["over"] is not None) is over
    assert update["history"][0]["stopped"] == state["stopped"]


def test_more_held_out_problems_are_others_in_the_suites_proportions(workplace: Any) -> None:
    state: Any = {**settle(workplace.settings), **new_round(1, None)}
    for count in (7, 4):
        state["more"] = [*state["more"], {"count": count, "seed": further_seed(state)}]
    sets = held_out_sets(state)
    assert [len(problems) for _, problems in sets] == [10, 7, 4]
    ids = [problem.id for _, problems in sets for problem in problems]
    assert len(ids) == len(set(ids))
    assert [sum(problem.difficulty == 3 for problem in problems) for _, problems in sets] == [5, 3, 2]
    assert len({suite.hash for suite, _ in sets}) == 3
    assert [[p.id for p in problems] for _, problems in held_out_sets(state)] == [[p.id for p in ps] for _, ps in sets]


def test_more_held_out_problems_than_are_left_are_refused(workplace: Any) -> None:
    state: Any = {**settle(workplace.settings), **new_round(1, None), "more": [{"count": 10**6, "seed": 1}]}
    with pytest.raises(BadInputError, match="ask for fewer"):
        held_out_sets(state)
