import shutil
from pathlib import Path

import numpy as np
import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.training.samples import COPY, load_samples, plan_batches


def load(folder: Path):
    return load_samples(folder, vocabulary=64, longest=96)


def test_plan_fades_the_share_of_copies_and_visits_every_sample_evenly(data_dir: Path) -> None:
    samples = load(data_dir)
    batches = plan_batches(samples, tokens=60_000, copy_share=(0.9, 0.1), batch_tokens=80, seed=0)
    assert all(len(batch) == 1 or len(batch) * samples.lengths[batch].max() <= 80 for batch in batches)
    tokens = sum(int(samples.lengths[batch].sum()) for batch in batches)
    assert 60_000 <= tokens < 60_080

    fifth = len(batches) // 5
    shares = [
        np.mean([samples.kind[row] == COPY for batch in batches[start : start + fifth] for row in batch])
        for start in (0, 4 * fifth)
    ]
    assert shares == pytest.approx([0.82, 0.18], abs=0.06)

    visits = np.bincount([row for batch in batches for row in batch], minlength=120)
    demonstrations = visits[samples.kind != COPY]
    # Epochs are shuffled and the last window is cut off, so not exactly equal.
    assert demonstrations.max() - demonstrations.min() <= 4
    assert batches == plan_batches(samples, tokens=60_000, copy_share=(0.9, 0.1), batch_tokens=80, seed=0)
    assert batches != plan_batches(samples, tokens=60_000, copy_share=(0.9, 0.1), batch_tokens=80, seed=1)


def test_padding_and_first_tokens_are_never_under_the_loss(data_dir: Path) -> None:
    samples = load(data_dir)
    samples.mask[samples.offsets[:-1]] = 1
    ids_BT, mask_BT = samples.padded([0, 1, 2])
    lengths = samples.lengths[:3]
    assert ids_BT.shape == mask_BT.shape == (3, lengths.max())
    for row, length in enumerate(lengths):
        start = samples.offsets[row]
        assert ids_BT[row, :length].tolist() == samples.ids[start : start + length].tolist()
        assert not mask_BT[row, length:].any()
        assert not mask_BT[row, 0]
        assert mask_BT[row].sum() == samples.targets([row])


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("ids", lambda a: np.full_like(a, 64), "64 in the data"),
        ("ids", lambda a: a[:-1], "does not fit together"),
        ("mask", lambda a: a * 0, "sample 0 has no token under the loss"),
        ("kind", lambda a: a[:-1], "does not fit together"),
        ("offsets", lambda a: a[[0, *range(8, len(a))]], "does not fit together"),
    ],
)
def test_data_that_cannot_be_used_is_refused(data_dir: Path, tmp_path: Path, name: str, change, said: str) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_dir, folder)
    np.save(folder / f"{name}.npy", change(np.load(folder / f"{name}.npy")))
    with pytest.raises(BadInputError, match=said):
        load(folder)


def test_missing_and_too_long_data_are_refused(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="ids, mask, offsets, kind missing"):
        load(tmp_path)
    with pytest.raises(BadInputError, match="the model takes 2 to 20"):
        load_samples(data_dir, vocabulary=64, longest=20)
