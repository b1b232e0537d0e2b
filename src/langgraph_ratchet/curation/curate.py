"""Turns graded runs into a dataset: select, deduplicate, weigh; the same runs give the same dataset in any order."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from pydantic import Field

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.core.noun import Noun
from langgraph_ratchet.curation import select_calls, select_traces
from langgraph_ratchet.curation.drops import Reason, counted
from langgraph_ratchet.curation.examples import examples_of
from langgraph_ratchet.curation.paths import distinct
from langgraph_ratchet.curation.rolled import Kept, Rolled
from langgraph_ratchet.curation.weigh import balanced


class CurationSettings(Noun):
    """What curation keeps."""

    mixed_only: bool = True
    """Only problems whose runs were neither all right nor all wrong."""
    max_type_share: float = Field(0.5, gt=0, le=1)
    """Largest share of the total weight that one question type may have."""
    max_node_share: float = Field(0.5, gt=0, le=1)
    """Largest share of the total weight that one node may have."""


_DEFAULTS = CurationSettings()


def curate(
    rolled: Sequence[Rolled],
    *,
    held_out: Collection[str],
    fingerprint: Fingerprint,
    settings: CurationSettings = _DEFAULTS,
) -> Dataset:
    """The dataset that the runs are worth, empty if they are worth nothing.

    Args:
        rolled: graded runs, any number of each problem.
        held_out: ids of all questions that models are measured on.
        fingerprint: the base that will be trained.
        settings: what is kept.

    Returns:
        Examples of one call each, sorted; the weights of a run's calls sum to 1 before balancing scales them.
    """
    drops: Counter[Reason] = Counter()
    uniform = select_traces.uniform_problems(rolled) if settings.mixed_only else frozenset()
    kept: list[Kept] = []
    for item in rolled:
        reason = select_traces.reason_against(item, held_out=held_out, uniform=uniform)
        if reason is None:
            against = partial(select_calls.reason_against, trace=item.trace, fingerprint=fingerprint)
            left = select_calls.selected(item, against, drops)
            reason = None if left else Reason.NOTHING_LEFT
        if reason is None:
            kept.append(Kept(item, left))
        else:
            drops[reason] += 1
    paths = distinct(kept)
    drops[Reason.DUPLICATE_PATH] = len(kept) - len(paths)
    return make_dataset(paths, drops, held_out=held_out, fingerprint=fingerprint, settings=settings)


def make_dataset(
    runs: Mapping[str, Kept],
    drops: Counter[Reason],
    *,
    held_out: Collection[str],
    fingerprint: Fingerprint,
    settings: CurationSettings,
) -> Dataset:
    """The dataset of the runs that were kept, each under a name of its own; the control is made the same way."""
    examples = balanced(
        list(examples_of(runs)), max_type_share=settings.max_type_share, max_node_share=settings.max_node_share
    )
    return Dataset(
        examples=examples,
        fingerprint=fingerprint,
        dropped=counted(drops),
        decontamination={
            "method": "question id",
            "held_out_questions": len(held_out),
            "excluded_traces": drops[Reason.HELD_OUT],
        },
    )
