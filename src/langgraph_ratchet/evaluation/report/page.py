"""What the page is made of: what was measured, as it was measured. How it is said and drawn comes later."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from langgraph_ratchet.core.decision import Decision
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.evaluation.control import ControlComparison
from langgraph_ratchet.evaluation.report.flips import Flips


class Conclusion(Enum):
    """What became of the candidate: a word or a few, and a sentence."""

    PROMOTED = ("Promoted", "The new model is the champion now.")
    WAITING = ("Waiting for approval", "The gate passed the new model; a person has not decided yet.")
    NOT_PROMOTED = ("Passed, not promoted", "The gate passed the new model, and it was not promoted.")
    REJECTED = ("Rejected", "The gate refused the new model; the old one stays.")
    NOT_ENOUGH_EVIDENCE = ("Not enough evidence", "It is not shown that the new model is better; the old one stays.")
    NOTHING_LEARNED = ("Nothing to learn from", "The round ended before anything was trained.")
    UNDER_WAY = ("Under way", "The gate has not decided yet.")

    @property
    def word(self) -> str:
        """It in a word or a few."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """What it means."""
        return self.value[1]


@dataclass(frozen=True)
class ControlArm:
    """The control: trained alike on runs that nobody selected."""

    comparison: ControlComparison
    report: Report
    traces: int
    """Runs it was trained on."""
    right: int
    """Those of them whose answer was right."""
    calls: int
    training: TrainingStatistics


@dataclass(frozen=True)
class Provenance:
    """What it takes to check and to repeat the round."""

    versions: tuple[tuple[str, str], ...]
    """What it is (`base weights`), and its name or hash."""
    settings: tuple[tuple[str, str], ...]
    """Seeds and settings, by name."""
    lineage: tuple[tuple[str, str], ...]
    """Versions from the base to the candidate: id, and what it is."""
    command: str
    """The command line that does the same again."""


@dataclass(frozen=True)
class Page:
    """A round of improvement."""

    run: str
    round: int
    made_at: float
    """Unix time, seconds."""
    conclusion: Conclusion
    before: Report
    """Of the champion that practised."""
    provenance: Provenance
    after: Report | None = None
    """Of the candidate; `None` when none was measured."""
    decision: Decision | None = None
    stopped: str | None = None
    """Why the round ended early."""
    flips: Flips = field(default_factory=Flips)
    never_practised: tuple[tuple[str, int], ...] = ()
    """Levels (family and difficulty) that practice left out."""
    rollouts: dict[str, int] | None = None
    """Practice: `problems`, `traces`, `right`, `wrong`, `ungraded`."""
    learned: dict[str, Any] | None = None
    """`curation.summary` of the dataset."""
    training: TrainingStatistics | None = None
    sampled: dict[str, Any] | None = None
    """The old model sampled, as `improvement.summary` gives it."""
    control: ControlArm | None = None
    """`None` when no control was asked for."""
