"""What a dataset holds, in figures that a person can check."""

from collections.abc import Callable, Iterable
from typing import Any

from langgraph_ratchet.core.example import Dataset, Example
from langgraph_ratchet.curation.weigh import UNTYPED

Figures = dict[str, Any]


def summary(dataset: Dataset) -> Figures:
    """Figures of what was kept and what was dropped, as JSON.

    Returns:
        `traces`, `calls`, `tokens` (under the loss); `by_type` and `by_node`, each with the same and `share` (of the
        total weight); `dropped`, a list of `reason`, `explanation`, `count`, `unit`.
    """
    total = sum(example.weight for example in dataset.examples)
    return {
        **_figures(dataset.examples),
        "by_type": _grouped(dataset.examples, lambda example: example.question_type or UNTYPED, total),
        "by_node": _grouped(dataset.examples, lambda example: example.node, total),
        "dropped": [drop.model_dump(mode="json", exclude={"schema_version"}) for drop in dataset.dropped],
    }


def _grouped(examples: Iterable[Example], group_of: Callable[[Example], str], total: float) -> dict[str, Figures]:
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(group_of(example), []).append(example)
    return {
        group: {**_figures(members), "share": sum(example.weight for example in members) / total}
        for group, members in sorted(groups.items())
    }


def _figures(examples: Iterable[Example]) -> Figures:
    listed = list(examples)
    return {
        "traces": len({example.trace_id for example in listed}),
        "calls": len(listed),
        "tokens": sum(sum(example.loss_mask) for example in listed),
    }
