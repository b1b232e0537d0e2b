"""What is drawn: positions and paths, in per cent of the space there is. The template draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from langgraph_ratchet.core.accuracy import Accuracy
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.core.visible import percent
from langgraph_ratchet.evaluation.report.figures import interval

MOST_ROWS = 120


@dataclass(frozen=True)
class Mark:
    """One measured accuracy on a scale from 0 to 100."""

    at: float
    low: float
    high: float
    text: str
    """`95 %`."""
    interval: str
    """`93–97 %`."""


@dataclass(frozen=True)
class Row:
    """A line of the chart: before and after."""

    name: str
    n: int
    before: Mark | None
    after: Mark | None
    note: str = ""
    strong: bool = False

    @property
    def said(self) -> str:
        """The line in words, for who cannot see it."""
        sides = (("before", self.before), ("after", self.after))
        return ", ".join(f"{side} {mark.text} ({mark.interval})" for side, mark in sides if mark)


@dataclass(frozen=True)
class Curve:
    """The loss over the training."""

    points: str
    """Of an SVG polyline in a box of 1000 × 1000: each part of the training."""
    smooth: str
    """The same, each point the mean of those around it."""
    first: float
    last: float
    """Loss of the last part."""
    ticks: tuple[tuple[float, str], ...]
    """Of the vertical axis: place from the top in per cent, and label."""
    epochs: tuple[tuple[float, str], ...]
    """Of the horizontal axis: where an epoch ends in per cent, and label."""


def mark(accuracy: Accuracy | None) -> Mark | None:
    """The accuracy as a mark; `None` for what was not measured."""
    if accuracy is None or accuracy.value is None:
        return None
    low, high = accuracy.interval
    return Mark(100 * accuracy.value, 100 * low, 100 * high, percent(accuracy.value), interval(accuracy))


def by_type(before: Report, after: Report | None) -> list[Row]:
    """All problems, and each question type."""
    later = after.by_type if after else {}
    whole = _row("all problems", before.accuracy(), after.accuracy() if after else None, strong=True)
    types = [_row(kind.value.replace("_", "-"), accuracy, later.get(kind)) for kind, accuracy in before.by_type.items()]
    return [whole, *types]


def by_level(
    before: Report, after: Report | None, never_practised: Sequence[tuple[str, int]]
) -> list[tuple[str, list[Row]]]:
    """Each family with its levels."""
    later = after.by_level if after else {}
    levels = list(before.by_level.items())[:MOST_ROWS]
    return [
        (
            family.replace("_", " "),
            [
                _row(
                    f"level {level[1]}",
                    accuracy,
                    later.get(level),
                    note="never practised" if level in never_practised else "",
                )
                for level, accuracy in group
            ],
        )
        for family, group in groupby(levels, key=lambda item: item[0][0])
    ]


def loss_curve(training: TrainingStatistics) -> Curve | None:
    """The curve; `None` when fewer than two points of it are known."""
    losses = training.losses
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return None
    top, step = _scale(max(losses))
    ticks = tuple((100 * (1 - step * tick / top), f"{step * tick:g}") for tick in range(round(top / step) + 1))
    whole = math.floor(training.epochs + 1e-9)
    every = max(1, -(-whole // 10))
    epochs = tuple((100 * epoch / training.epochs, str(epoch)) for epoch in range(every, whole + 1, every))
    return Curve(_polyline(losses, top), _polyline(_smoothed(losses), top), losses[0], losses[-1], ticks, epochs)


def _polyline(losses: Sequence[float], top: float) -> str:
    # Each point is the mean over a part of the training, so it stands in the middle of it.
    places = ((1000 * (at + 0.5) / len(losses), 1000 * (1 - loss / top)) for at, loss in enumerate(losses))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _smoothed(losses: Sequence[float]) -> list[float]:
    around = max(1, len(losses) // 12)
    windows = (losses[max(0, at - around) : at + around + 1] for at in range(len(losses)))
    return [sum(window) / len(window) for window in windows]


def _row(name: str, before: Accuracy, after: Accuracy | None, *, note: str = "", strong: bool = False) -> Row:
    return Row(name, before.n, mark(before), mark(after), note, strong)


def _scale(highest: float) -> tuple[float, float]:
    """A round top of the axis and the step between ticks, four or so of them."""
    raw = max(highest, 1e-9) * 1.05 / 4
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= raw)
    return step * math.ceil(highest * 1.02 / step), step
