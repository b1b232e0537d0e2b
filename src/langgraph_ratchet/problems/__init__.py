"""Problems: families of questions with their keys, the splits, and the suites that are measured.

`get_family` finds a family by the name of its file in `problems/procedural/`.
"""

from importlib import import_module
from pkgutil import iter_modules

from langgraph_ratchet.core.errors import UnconfirmedKeyError, UnknownNameError
from langgraph_ratchet.core.problem import Problem
from langgraph_ratchet.problems import procedural
from langgraph_ratchet.problems.family import Expert, Family, Item, Move
from langgraph_ratchet.problems.splits import split_of

__all__ = ["Expert", "Family", "Item", "Move", "families", "get_family", "make_problem", "split_of"]


def families() -> tuple[str, ...]:
    """Names of all families, sorted."""
    return tuple(sorted(module.name for module in iter_modules(procedural.__path__)))


def get_family(name: str) -> Family:
    """The family called `name`.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    if name not in families():
        raise UnknownNameError("problem family", name, families())
    family: Family = import_module(f"{procedural.__name__}.{name}").FAMILY
    return family


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
