"""What flows through the improvement graph: settings, ids, paths and small figures. The data lies in files."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

_described = with_config(ConfigDict(use_attribute_docstrings=True))
"""Puts the string under each field into the schema, from which Studio makes its forms."""

Promotion = Literal["ask", "auto", "never"]


@_described
class ImprovementInput(TypedDict, total=False):
    """What a caller may set; every field has a default."""

    run_id: str
    """Names the folder of this improvement run; a new one is made up."""
    suite: str
    """Suite to measure on: a built-in's name or a path. Default `first_light`."""
    practice: str
    """Suite to practise on. Default `first_light_practice`."""
    rounds: int
    """Rounds of practice, training and measurement. They share the gate's error budget. Default 1."""
    samples: int
    """Rollouts per practice problem. Default 4."""
    temperature: float
    """Temperature of the rollouts. Default 1."""
    seed: int
    """Seed of the practice problems, the rollouts and the training. Default 0."""
    promotion: Promotion
    """What follows when the gate says promote. Default `ask`."""
    sampled_problems: int
    """Held-out problems that the champion is also sampled on, for majority and pass@8; 0 for none. Default 48."""
    deterministic: bool
    """Whether a stopped and resumed run must equal one that was not, to the bit; slower. Default false."""
    control: bool
    """Whether a control is trained as well, on as many runs that nobody selected, to see what curation is worth.
    Default false."""
    command: str
    """Command line that does the same again, for the report. Default: the one of `ratchet improve`."""


def _joined(left: dict[str, float] | None, right: dict[str, float] | None) -> dict[str, float]:
    return {**(left or {}), **(right or {})}


@_described
class ImprovementState(ImprovementInput, total=False):
    """All of it. A path is relative to nothing: it is as the folder was given, made absolute."""

    history: list[dict[str, Any]]
    """What each round that is over came to (`nodes.remember`)."""
    over: str | None
    """Id of the run that has ended on this thread; `None` while one goes on."""

    # Of the round that goes on; `new_round` resets them.
    round: int
    """From 1."""
    champion: str | None
    """Registry id of the model that practises; `None` for the bare base."""
    baseline: str | None
    """Path of the champion's report."""
    sampled: dict[str, Any] | None
    """`SampledAccuracy` of the champion, with the greedy accuracy on the same problems."""
    practice_problems: str | None
    """Path of the practice problems."""
    proposed: dict[str, int] | None
    """How many practice problems are fresh, and how many were practised in an earlier round (`again`)."""
    rollouts: dict[str, int] | None
    """How many traces, right, wrong and ungraded."""
    dataset: str | None
    """Path of the dataset."""
    curated: dict[str, Any] | None
    """What was kept, and what was dropped for which reason."""
    candidate: str | None
    """Registry id of the model that was trained; `None` when there was nothing to learn from."""
    training: dict[str, Any] | None
    """Statistics of the training job."""
    report: str | None
    """Path of the candidate's report."""
    control_arm: dict[str, Any] | None
    """What became of the control (`nodes.control`); `None` when none was asked for."""
    decision: dict[str, Any] | None
    """The gate's `Decision` as JSON."""
    page: str | None
    """Path of the round's report, an HTML page."""
    more: list[dict[str, Any]]
    """Further held-out problems that were asked for at the approval: `count` and `seed` of each set, in order."""
    approval: dict[str, Any] | None
    """Who decided what, and why: `verdict`, `by`, `reason`."""
    approved: bool
    promoted: bool
    stopped: str | None
    """Why the round ended early, or did not promote what was approved; `None` otherwise."""
    seconds: Annotated[dict[str, float], _joined]
    """Wall time by node."""


def new_round(number: int, champion: str | None) -> ImprovementState:
    """The state in which a round begins: nothing is left of the one before."""
    return {
        "round": number,
        "champion": champion,
        "baseline": None,
        "sampled": None,
        "practice_problems": None,
        "proposed": None,
        "rollouts": None,
        "dataset": None,
        "curated": None,
        "candidate": None,
        "training": None,
        "report": None,
        "control_arm": None,
        "decision": None,
        "page": None,
        "more": [],
        "approval": None,
        "approved": False,
        "promoted": False,
        "stopped": None,
    }


@_described
class ImprovementOutput(ImprovementState, total=False):
    """Everything: Studio and the command line show the run as it goes on."""
