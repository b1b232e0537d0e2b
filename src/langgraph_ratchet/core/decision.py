"""The gate's decision on a candidate."""

from enum import StrEnum

from langgraph_ratchet.core.noun import Noun, Stored


class Verdict(StrEnum):
    """What the gate says."""

    PROMOTE = "promote"
    REJECT = "reject"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


class Check(Noun):
    """One condition of the gate."""

    name: str
    observed: float | None
    """`None` when it could not be measured, which fails the check."""
    required: float
    passed: bool
    explanation: str
    """The check in a sentence that a person who has not read the code understands."""


class Decision(Stored):
    """Every check with what was observed and required."""

    candidate: str
    """Registry id."""
    champion: str | None
    """Registry id; `None` for the bare base."""
    suite_hash: str
    verdict: Verdict
    checks: tuple[Check, ...]
    p_value: float | None
    """One-sided exact p-value of the paired test; `None` when no pair differed."""
    problems_needed: int | None = None
    """Held-out problems that would be enough to decide, with `not_enough_evidence`."""
