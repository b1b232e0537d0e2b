"""What flows through the improvement graph: settings, ids, paths and small figures. The data lies in files."""

from typing import Annotated, Any, Literal

from typing_extensions import TypedDict


class ImprovementInput(TypedDict, total=False):
    """What a caller may set; every field has a default."""

    run_id: str
    """Names the folder of this improvement run; a new one is made up."""
    suite: str
    """Suite to measure on: a built-in's name or a path. Default `first_light`."""
    practice: str
    """Suite to practise on. Default `first_light_practice`."""
    samples: int
    """Rollouts per practice problem. Default 4."""
    temperature: float
    """Of the rollouts. Default 1."""
    seed: int
    """Of the practice problems, the rollouts and the training. Default 0."""
    promotion: Literal["ask", "auto", "never"]
    """What follows when the gate says promote. Default `ask`."""
    sampled_problems: int
    """Held-out problems that the champion is also sampled on, for majority and pass@8; 0 for none. Default 48."""


def _joined(left: dict[str, float] | None, right: dict[str, float] | None) -> dict[str, float]:
    return {**(left or {}), **(right or {})}


class ImprovementState(ImprovementInput, total=False):
    """All of it. A path is relative to nothing: it is as the folder was given, made absolute."""

    round: int
    """From 1."""
    champion: str | None
    """Registry id of the model that practises; `None` for the bare base."""
    baseline: str
    """Path of the champion's report."""
    sampled: dict[str, Any] | None
    """`SampledAccuracy` of the champion, with the greedy accuracy on the same problems."""
    practice_problems: str
    """Path of the practice problems."""
    rollouts: dict[str, int]
    """How many traces, right, wrong and ungraded."""
    dataset: str
    """Path of the dataset."""
    curated: dict[str, Any]
    """What was kept, and what was dropped for which reason."""
    candidate: str | None
    """Registry id of the model that was trained; `None` when there was nothing to learn from."""
    training: dict[str, Any]
    """Statistics of the training job."""
    report: str
    """Path of the candidate's report."""
    decision: dict[str, Any]
    """The gate's `Decision` as JSON."""
    approved: bool
    promoted: bool
    stopped: str | None
    """Why the round ended early; `None` when it did not."""
    seconds: Annotated[dict[str, float], _joined]
    """Wall time by node."""


class ImprovementOutput(ImprovementState, total=False):
    """Everything: Studio and the command line show the run as it goes on."""
