"""The control's dataset: as many runs as curation kept, drawn by lot, whatever came of them.

A candidate may be better only because it saw its own tools and its own way of writing once more. What curation itself
is worth shows beside a candidate that was trained alike on runs that nobody selected: right or wrong, lucky, repeated,
of problems that teach nothing. Left out is only what nothing may ever be trained on: questions that are measured on,
other people's text, and calls whose very tokens are not known on this base.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.curation.curate import CurationSettings, make_dataset
from langgraph_ratchet.curation.drops import Reason
from langgraph_ratchet.curation.paths import in_order, path_of
from langgraph_ratchet.curation.rolled import Kept, Rolled
from langgraph_ratchet.curation.select_calls import reason_unlearnable, selected
from langgraph_ratchet.curation.select_traces import is_held_out

_DEFAULTS = CurationSettings()


def unfiltered(
    rolled: Sequence[Rolled],
    *,
    traces: int,
    seed: int,
    held_out: Collection[str],
    fingerprint: Fingerprint,
    settings: CurationSettings = _DEFAULTS,
) -> Dataset:
    """The dataset of a control arm; the same runs and seed give the same dataset in any order.

    Args:
        rolled: graded runs, the very ones that curation chose from.
        traces: how many to draw: as many as curation kept. There may be fewer.
        seed: of the lot.
        held_out: ids of all questions that models are measured on.
        fingerprint: the base that will be trained.
        settings: the shares by which weights are balanced, the same as for the curated runs, so that only the choice
            of runs differs; `mixed_only` means nothing here.

    Returns:
        Examples of one call each; the weights of a run's calls sum to 1 before balancing scales them.
    """
    drops: Counter[Reason] = Counter()
    against = partial(reason_unlearnable, fingerprint=fingerprint)
    kept: list[Kept] = []
    for item in rolled:
        if is_held_out(item, held_out):
            drops[Reason.HELD_OUT] += 1
        elif calls := selected(item, against, drops):
            kept.append(Kept(item, calls))
        else:
            drops[Reason.NOTHING_LEFT] += 1
    drawn = _drawn(in_order(kept), traces, seed)
    drops[Reason.NOT_DRAWN] = len(kept) - len(drawn)
    return make_dataset(_named(drawn), drops, held_out=held_out, fingerprint=fingerprint, settings=settings)


def _drawn(kept: Sequence[Kept], count: int, seed: int) -> list[Kept]:
    # Hashes rather than `random`: the same draw on every version of Python.
    lots = sorted(range(len(kept)), key=lambda place: derive_seed(seed, "control", place))
    return [kept[place] for place in sorted(lots[:count])]


def _named(drawn: Sequence[Kept]) -> dict[str, Kept]:
    """Each run under its path, and a number where several took the same."""
    seen: Counter[str] = Counter()
    named = {}
    for kept in drawn:
        path = path_of(kept)
        named[f"{path}#{seen[path]}"] = kept
        seen[path] += 1
    return named
