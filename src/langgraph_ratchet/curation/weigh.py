"""Weights: each run counts once, whatever its length; then no question type and no node counts for too much.

Balancing scales weights and drops nothing, since a call that is one of many is still right.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from langgraph_ratchet.core.example import Example

UNTYPED = "untyped"
"""Stands for a question type that was not said."""


def balanced(examples: Sequence[Example], *, max_type_share: float, max_node_share: float) -> tuple[Example, ...]:
    """`examples` with no type above its share of the total weight, and then no node above its own.

    Scaling the nodes may move the types' shares a little again, since types differ in what their runs are made of.
    """
    by_type = _scaled(examples, [example.question_type or UNTYPED for example in examples], max_type_share)
    return tuple(_scaled(by_type, [example.node for example in by_type], max_node_share))


def _scaled(examples: Sequence[Example], groups: Sequence[str], max_share: float) -> list[Example]:
    totals: dict[str, float] = defaultdict(float)
    for example, group in zip(examples, groups, strict=True):
        totals[group] += example.weight
    factors = factors_to_cap(totals, max_share)
    return [
        example.model_copy(update={"weight": example.weight * factors[group]})
        for example, group in zip(examples, groups, strict=True)
    ]


def factors_to_cap(totals: Mapping[str, float], max_share: float) -> dict[str, float]:
    """What to multiply each group by so that none exceeds `max_share` of the new sum, leaving the small ones alone.

    The j largest come down to one level L with L = share · (j·L + the rest). Fewer groups than could hold everything
    within the share (two, at 40 %) become equal.
    """
    if not totals:
        return {}
    share = max(max_share, 1 / len(totals))
    ordered = sorted(totals.values(), reverse=True)
    level = ordered[0]
    for lowered, next_largest in enumerate(ordered):
        level = share * sum(ordered[lowered:]) / (1 - lowered * share)
        # A level a hair below the next group comes of rounding, where the shares are to be equal.
        if next_largest <= level * (1 + 1e-9):
            break
    return {group: min(1.0, level / total) for group, total in totals.items()}
