"""Problems: families of questions with their keys, the splits, and the suites that are measured.

`get_family` finds a family by the name of its file in `problems/procedural/`, whose `FAMILY` it is, or of another
package's entry point in the group `langgraph_ratchet.problem_families`.
"""

from typing import Any

from langgraph_ratchet.core.errors import UnconfirmedKeyError
from langgraph_ratchet.core.plugins import Kind
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.problems.family import Expert, Family, Item, Move
from langgraph_ratchet.problems.splits import split_of

__all__ = ["FAMILIES", "Expert", "Family", "Item", "Move", "families", "get_family", "make_problem", "split_of"]

_PARTS = ("name", "type", "levels", "tools", "size", "draw", "solve", "key", "expert", "novice")


def _is_family(name: str, family: Any) -> Family:
    missing = [part for part in _PARTS if not hasattr(family, part)]
    if isinstance(family, type) or missing:
        raise TypeError(f"{family!r} " + (f"has no {', '.join(missing)}" if missing else "is a class, not an instance"))
    if family.name != name:
        raise ValueError(f"the family calls itself {family.name!r}")
    found: Family = family
    return found


FAMILIES = Kind(
    noun="problem family",
    folder="langgraph_ratchet.problems.procedural",
    group="langgraph_ratchet.problem_families",
    attribute="FAMILY",
    wanted="a Family of that name, as `langgraph_ratchet.problems.family` describes it",
    accept=_is_family,
)
"""Where problem families are found."""


def families() -> tuple[str, ...]:
    """Names of all families, the built-in ones and those of other packages, sorted."""
    return FAMILIES.names()


def get_family(name: str) -> Family:
    """The family called `name`.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
        PluginError: another package's family cannot be used.
    """
    return FAMILIES.load(name)


def make_problem(family: Family, level: int, item: Item, seed: int | None) -> Problem:
    """`item` as a problem whose key the family's second solver has confirmed.

    Args:
        family: the family that drew the item.
        level: the level it was drawn at; it becomes the difficulty.
        item: what was drawn.
        seed: the seed that drew it, if one did.

    Raises:
        UnconfirmedKeyError: the second solver comes to another answer; the item must not be used.
    """
    try:
        solved = family.solve(item.question)
    except ValueError as error:
        solved = f"no answer ({error})"
    if solved != item.answer:
        raise UnconfirmedKeyError(family.name, item.question.text, item.answer, solved)
    return Problem(
        question=item.question,
        key=family.key(item),
        difficulty=level,
        required_tools=family.tools,
        source="procedural",
        family=family.name,
        split=split_of(family.name, item.parameters),
        seed=seed,
        provenance=dict(item.parameters),
    )
