"""What the pocket model is taught has the shape that the demo needs."""

from langgraph_ratchet.problems import families, get_family
from langgraph_ratchet.synthesis.habits import POCKET_HABITS


def test_habits_are_of_levels_that_exist() -> None:
    for name, level in POCKET_HABITS:
        assert level in get_family(name).levels


def test_habits_are_uneven_on_purpose() -> None:
    shares = {level: habit.expert_share for level, habit in POCKET_HABITS.items()}
    wrong = {level for level, share in shares.items() if 0.25 <= share <= 0.4}
    right = {level for level, share in shares.items() if share > 0.5}
    rare = {level for level, share in shares.items() if share < 0.05}
    # In every family but one skill, some levels are to be unlearned and others already go well.
    assert {name for name, _ in wrong} == {name for name, _ in right} == set(families()) - {name for name, _ in rare}
    assert len(rare) == 1
    assert wrong | right | rare == shares.keys()


def test_a_hardest_level_is_never_shown() -> None:
    hardest = {(name, max(get_family(name).levels)) for name in families()}
    every = {(name, level) for name in families() for level in get_family(name).levels}
    never = every - POCKET_HABITS.keys()
    assert never
    assert never <= hardest  # whoever has seen level 3 has seen level 2
