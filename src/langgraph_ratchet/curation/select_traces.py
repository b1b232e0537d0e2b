"""Which traces to learn from: verified ones, of problems that can teach something, that nothing is measured on."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from langgraph_ratchet.core.problem import Split
from langgraph_ratchet.curation.drops import Reason
from langgraph_ratchet.curation.rolled import Rolled


def uniform_problems(rolled: Sequence[Rolled]) -> frozenset[str]:
    """Ids of problems whose judged runs were all right, or all wrong.

    A problem with a single judged run is not among them: what another run would have done is not known.
    """
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for item in rolled:
        if item.grade.score is not None:
            outcomes[item.problem.id].append(item.right)
    return frozenset(problem for problem, right in outcomes.items() if len(right) > 1 and len(set(right)) == 1)


def is_held_out(rolled: Rolled, held_out: Collection[str]) -> bool:
    """Whether something is measured on its question, by id or by split."""
    return rolled.problem.id in held_out or rolled.problem.split is Split.HELD_OUT


def reason_against(rolled: Rolled, *, held_out: Collection[str], uniform: Collection[str]) -> Reason | None:
    """Why a trace is not learned from; `None` if it is."""
    if is_held_out(rolled, held_out):
        return Reason.HELD_OUT
    if rolled.grade.score is None:
        return Reason.NOT_JUDGED
    if rolled.problem.id in uniform:
        return Reason.UNIFORM_OUTCOME
    if not rolled.answered:
        return Reason.NOT_ANSWERED
    if not rolled.grade.verified:
        return Reason.WRONG_ANSWER
    return Reason.LUCKY if _is_lucky(rolled) else None


def _is_lucky(rolled: Rolled) -> bool:
    used = {step.tool for step in rolled.trace.steps if step.tool is not None and not step.failed}
    return bool(rolled.problem.required_tools) and not used & set(rolled.problem.required_tools)
