"""Pretraining samples on disk, and the order in which a run sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.training.batches import cut_batches

DEMONSTRATION = 0
"""A call of a demonstrated run."""
COPY = 1
"""Practice in copying text from the prompt."""

_WINDOW_BATCHES = 64
"""Batches that are drawn and sorted by length together: enough that rows of a batch have about equal length, few
enough that the mix follows its fading share closely."""


@dataclass(frozen=True)
class Samples:
    """All samples, laid end to end. `n` samples, `t` tokens.

    Attributes:
        ids: uint16, shape (t,).
        mask: uint8, shape (t,); 1 where the token is under the loss.
        offsets: int64, shape (n + 1,); sample i is `ids[offsets[i]:offsets[i + 1]]`.
        kind: uint8, shape (n,); `DEMONSTRATION` or `COPY`.
    """

    ids: npt.NDArray[np.uint16]
    mask: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per sample, shape (n,)."""
        return np.diff(self.offsets)

    def targets(self, rows: Sequence[int]) -> int:
        """Tokens under the loss in the samples `rows`; a sample's first token is never one, nothing predicts it."""
        return int(self._targets[list(rows)].sum())

    @cached_property
    def _targets(self) -> npt.NDArray[np.int64]:
        starts = self.offsets[:-1]
        return np.asarray(np.add.reduceat(self.mask.astype(np.int64), starts) - self.mask[starts])

    def padded(self, rows: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The samples `rows` padded on the right: ids and loss mask, each of shape (len(rows), longest)."""
        lengths = self.lengths[list(rows)]
        ids_BT = np.zeros((len(rows), int(lengths.max())), np.int64)
        mask_BT = np.zeros(ids_BT.shape, np.bool_)
        for row, (sample, length) in enumerate(zip(rows, lengths, strict=True)):
            start = self.offsets[sample]
            ids_BT[row, :length] = self.ids[start : start + length]
            mask_BT[row, 1:length] = self.mask[start + 1 : start + length]
        return ids_BT, mask_BT


def load_samples(folder: Path, *, vocabulary: int, longest: int) -> Samples:
    """Reads `ids.npy`, `mask.npy`, `offsets.npy` and `kind.npy`, and checks that they fit together and the model.

    Args:
        folder: where the four files lie.
        vocabulary: token ids of the model.
        longest: tokens that the model can take at once.

    Raises:
        BadInputError: a file is missing, the shapes disagree, an id is not in the vocabulary, a sample is longer than
            the model can take, or a sample has nothing under the loss.
    """
    missing = [name for name in ("ids", "mask", "offsets", "kind") if not (folder / f"{name}.npy").is_file()]
    if missing:
        raise BadInputError(f"no pretraining data in {folder}: {', '.join(missing)} missing (each as NAME.npy)")
    ids, mask, offsets, kind = (
        np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("ids", "mask", "offsets", "kind")
    )
    if not (len(ids) == len(mask) == offsets[-1] and len(kind) == len(offsets) - 1 and offsets[0] == 0 and len(kind)):
        raise BadInputError(
            f"pretraining data in {folder} does not fit together: {len(ids)} ids, {len(mask)} mask entries, "
            f"{len(kind)} kinds, {len(offsets)} offsets that end at {offsets[-1]}; write the folder again"
        )
    lengths = np.diff(offsets)
    if lengths.min() < 2 or lengths.max() > longest:
        raise BadInputError(f"samples of {lengths.min()} to {lengths.max()} tokens; the model takes 2 to {longest}")
    if ids.max() >= vocabulary:
        raise BadInputError(f"token id {ids.max()} in the data, but the model has {vocabulary}: wrong tokenizer?")
    samples = Samples(ids=ids, mask=mask, offsets=offsets, kind=kind)
    for row in range(len(kind)):
        if not samples.targets([row]):
            raise BadInputError(f"sample {row} has no token under the loss (its first cannot be one)")
    return samples


def plan_batches(
    samples: Samples, *, tokens: int, copy_share: tuple[float, float], batch_tokens: int, seed: int
) -> list[list[int]]:
    """The whole run's batches, as sample numbers: equal arguments give equal batches, so a run can go on anywhere.

    Samples of each kind come in shuffled epochs; the share of `COPY` among the samples goes linearly from
    `copy_share[0]` to `copy_share[1]`. Rows of one batch have about equal length, and a batch holds at most
    `batch_tokens` tokens, padding included (one sample at least).

    Args:
        samples: what to draw from; when it holds one kind only, `copy_share` has no effect.
        tokens: where to stop, padding left out.
        copy_share: share of `COPY` at the start and at the end.
        batch_tokens: tokens of one optimizer step.
        seed: of every draw.
    """
    random = np.random.default_rng(seed)
    streams = {kind: _epochs(np.flatnonzero(samples.kind == kind), random) for kind in np.unique(samples.kind)}
    lengths = samples.lengths
    window = max(1, int(_WINDOW_BATCHES * batch_tokens / lengths.mean()))
    batches: list[list[int]] = []
    seen = 0
    while seen < tokens:
        share = copy_share[0] + (copy_share[1] - copy_share[0]) * seen / tokens
        kinds = np.where(random.random(window) < share, COPY, DEMONSTRATION)
        if len(streams) == 1:
            kinds[:] = next(iter(streams))
        drawn = np.array([next(streams[kind]) for kind in kinds])
        cut = cut_batches(drawn[np.argsort(lengths[drawn], kind="stable")].tolist(), lengths, batch_tokens)
        for position in random.permutation(len(cut)):
            if seen >= tokens:
                break
            batches.append(cut[position])
            seen += int(lengths[cut[position]].sum())
    return batches


def _epochs(rows: npt.NDArray[np.intp], random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from random.permutation(rows).tolist()
