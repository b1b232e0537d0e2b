"""What the page says in sentences, and the runs as it shows them."""

from dataclasses import dataclass

import orjson

from langgraph_ratchet.core.decision import Check, Verdict
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.core.step import Step, Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.core.visible import counted, percent
from langgraph_ratchet.evaluation.report.figures import chance, cut, number, plain, points
from langgraph_ratchet.evaluation.report.flips import Flip
from langgraph_ratchet.evaluation.report.page import Page

_MOST_STEPS, _MOST_PLANNED = 16, 12
_ALIKE = frozenset({"named_versions", "same_suite", "same_temperature", "same_problems"})
"""Checks without which the others would mean nothing."""


@dataclass(frozen=True)
class Line:
    """One check of the gate."""

    passed: bool
    explanation: str
    observed: str
    required: str


@dataclass(frozen=True)
class Side:
    """One of the two runs of a problem."""

    title: str
    right: bool
    strategy: str
    plan: tuple[str, ...]
    steps: tuple["ShownStep", ...]
    more: int
    """Steps that are not shown."""
    answer: str
    outcome: str
    """How it ended, when it did not end with an answer."""


@dataclass(frozen=True)
class ShownStep:
    """One step of a run."""

    thought: str
    tool: str
    given: str
    output: str
    failed: bool
    untrusted: bool


@dataclass(frozen=True)
class Case:
    """A problem that flipped, with its two runs."""

    question: str
    context: str
    kind: str
    key: str
    sides: tuple[Side | None, Side | None]


def headline(page: Page) -> str:
    """What came of it, in a sentence or two."""
    before = page.before.accuracy()
    n = counted(before.n, "held-out problem")
    if page.after is None:
        return f"The model solves {percent(before.value)} of {n}; no new one was measured."
    return f"The new model solves {percent(page.after.accuracy().value)} of {n}, the old one {percent(before.value)}."


def verdict(page: Page) -> str:
    """Why it was decided so."""
    decision = page.decision
    if decision is None:
        return page.stopped or page.conclusion.sentence
    failed = sum(not check.passed for check in decision.checks)
    checks = f"All {len(decision.checks)} checks of the gate passed" if not failed else None
    checks = checks or f"{failed} of the gate’s {counted(len(decision.checks), 'check')} failed"
    if decision.p_value is not None:
        checks += f"; a model that is no better would do so well by chance {chance(decision.p_value)}"
    enough = ""
    if decision.verdict is Verdict.NOT_ENOUGH_EVIDENCE and decision.problems_needed:
        enough = f" About {decision.problems_needed:,} held-out problems would be enough to decide."
    flips = f" {counted(page.flips.won, 'problem')} newly solved, {page.flips.lost} no longer."
    stopped = f" {page.stopped}." if page.stopped else ""
    return f"{page.conclusion.sentence} {checks}.{enough}{flips}{stopped}"


def checks(page: Page, *, alike: bool) -> list[Line]:
    """The gate's checks: those that the two were measured `alike`, or those that weigh them."""
    decided = page.decision.checks if page.decision else ()
    return [_check(check) for check in decided if (check.name in _ALIKE) is alike]


def late(before: Report, after: Report | None) -> str:
    """A warning where runs ran out of time; empty where none did."""
    counts = [
        sum(row.outcome is Outcome.OUT_OF_TIME for row in report.rows) if report else 0 for report in (before, after)
    ]
    if not any(counts):
        return ""
    return (
        f"{counts[0]} runs before and {counts[1]} after ran out of time and count as wrong. That tells of the machine "
        "as well as of the model: measure again where it is less busy."
    )


def costs(before: Report, after: Report | None) -> list[tuple[str, str, str]]:
    """Per problem: what, before, after."""
    later = after.means if after else {}
    names = {"calls": "model calls", "tool_calls": "tool calls", "tokens": "tokens", "seconds": "seconds"}
    return [(names[name], number(value), number(later.get(name))) for name, value in before.means.items()]


def cases(flips: tuple[Flip, ...], *, won: bool) -> list[Case]:
    """The flips as the page shows them: `won` after the round, or lost."""
    return [
        Case(
            question=cut(flip.problem.question.text, 1500),
            context=cut(flip.problem.question.context or "", 2000),
            kind=cut(f"{flip.problem.family.replace('_', ' ')}, level {flip.problem.difficulty}", 100),
            key=cut(flip.problem.key.value, 500),
            sides=(
                _side("before", flip.before, right=not won) if flip.before else None,
                _side("after", flip.after, right=won) if flip.after else None,
            ),
        )
        for flip in flips
    ]


def _check(check: Check) -> Line:
    explanation = cut(check.explanation, 600)
    if check.name == "paired_test":
        return Line(check.passed, explanation, plain(check.observed), f"at most {plain(check.required)}")
    if check.name == "minimum_effect":
        return Line(check.passed, explanation, points(check.observed), f"at least {points(check.required)}")
    if check.name.startswith("not_inferior"):
        return Line(check.passed, explanation, points(check.observed), f"more than {points(check.required)}")
    return Line(check.passed, explanation, plain(check.observed), plain(check.required))


def _side(title: str, trace: Trace, *, right: bool) -> Side:
    return Side(
        title=title,
        right=right,
        strategy=cut(trace.strategy or "none chosen", 100),
        plan=tuple(cut(line, 300) for line in trace.plan[:_MOST_PLANNED]),
        steps=tuple(map(_step, trace.steps[:_MOST_STEPS])),
        more=max(0, len(trace.steps) - _MOST_STEPS),
        answer="" if trace.answer is None else cut(trace.answer, 500),
        outcome="" if trace.outcome is Outcome.ANSWERED else trace.outcome.value.replace("_", " "),
    )


def _step(step: Step) -> ShownStep:
    return ShownStep(
        thought=cut(step.reasoning or ("" if step.tool else step.description), 400),
        tool=cut(step.tool or "", 60),
        given=cut(_given(step), 400),
        output=cut(step.output or "", 600),
        failed=step.failed,
        untrusted=step.trust is Trust.UNTRUSTED,
    )


def _given(step: Step) -> str:
    """A tool's arguments; a single one stands for itself."""
    arguments = step.input or {}
    if len(arguments) == 1 and isinstance(value := next(iter(arguments.values())), str):
        return value
    try:
        return orjson.dumps(arguments).decode() if arguments else ""
    except (TypeError, ValueError):  # a lone surrogate, or a number beyond 64 bits
        return str(arguments)
