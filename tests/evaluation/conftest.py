"""Reports of made-up measurements, and a page of a made-up round."""

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.core.report import Report, ReportRow
from langgraph_ratchet.core.step import Step, Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.evaluation.control import compare_with_control
from langgraph_ratchet.evaluation.gate import decide
from langgraph_ratchet.evaluation.report import Conclusion, ControlArm, Page, Provenance, find_flips, flips_of

KINDS = (QuestionType.MATHEMATICAL, QuestionType.TEMPORAL, QuestionType.MULTI_HOP)


def make_problem(number: int, text: str = "") -> Problem:
    """The problem of a number; its type and level follow from it."""
    question = Question(type=KINDS[number % 3], text=text or f"What is {number} + 1?", context=text)
    return Problem(
        question=question,
        key=AnswerKey(value=text or str(number + 1), grader="exact", question_id=question.id),
        difficulty=number % 4 + 1,
        source="procedural",
        family="chain_sum",
        split=Split.HELD_OUT,
    )


def make_trace(problem: Problem, trace_id: str, text: str = "") -> Trace:
    """A run that used one tool and that says `text` everywhere."""
    step = Step(
        number=1,
        description=text or "calculator",
        reasoning=text,
        tool=text or "calculator",
        input={"expression": text} if text else {"expression": "1 + 1"},
        output=text or "2",
        call_id="c",
        trust=Trust.UNTRUSTED,
    )
    return Trace(
        id=trace_id,
        question=problem.question,
        model="pocket",
        model_version=None,
        strategy=text or "direct",
        plan=(text or "Calculate.",),
        steps=(step,),
        calls=(),
        answer=text or "2",
        confidence=None,
        outcome=Outcome.ANSWERED,
        started_at=0.0,
        seconds=1.0,
        code_version="0",
    )


def make_report(problems: list[Problem], right: Callable[[int], bool], version: str | None) -> Report:
    """A report in which the problems of some numbers are right."""
    rows = tuple(
        ReportRow(
            problem_id=problem.id,
            trace_id=f"trace_{version}_{number}",
            type=problem.question.type or QuestionType.MATHEMATICAL,
            family=problem.family,
            difficulty=problem.difficulty,
            answer="2",
            correct=right(number),
            strict=right(number),
            outcome=Outcome.ANSWERED,
            calls=5,
            tool_calls=1,
            tokens=500,
            seconds=1.5,
        )
        for number, problem in enumerate(problems)
    )
    return Report(suite_hash="s" * 64, model="pocket", model_version=version, temperature=0.0, seed=0, rows=rows)


def make_page(text: str = "", *, count: int = 120, **changes: Any) -> Page:
    """A round that solved half of what was not solved before and lost a little; every text of others is `text`."""
    problems = [make_problem(number, f"{text}{number}" if text else "") for number in range(count)]
    before = make_report(problems, lambda number: number % 2 == 0, None)
    after = make_report(problems, lambda number: number % 4 != 3 and number != 2, "v_new")
    control = make_report(problems, lambda number: number % 2 == 0, "control_x")
    found = find_flips(before, after)
    rows = {row.trace_id: row.problem_id for report in (before, after) for row in report.rows}
    by_id = {problem.id: problem for problem in problems}
    traces = {id_: make_trace(by_id[rows[id_]], id_, text) for id_ in found.trace_ids}
    training = TrainingStatistics(
        examples=40,
        seconds=12.0,
        epochs=3.0,
        steps=30,
        tokens=9000,
        first_loss=0.5,
        last_loss=0.1,
        losses=tuple(0.6 / (1 + at / 5) for at in range(30)),
    )
    fields: dict[str, Any] = {
        "run": text or "test",
        "round": 1,
        "made_at": 0.0,
        "conclusion": Conclusion.PROMOTED,
        "before": before,
        "after": after,
        "decision": decide(before, after, candidate_id="v_new", champion_id=None),
        "flips": flips_of(found, by_id, traces),
        "never_practised": (("chain_sum", 4),),
        "rollouts": {"problems": 10, "traces": 40, "right": 25, "wrong": 14, "ungraded": 1},
        "learned": {
            "traces": 12,
            "by_type": {text or "mathematical": {"traces": 12, "calls": 40, "share": 1.0}},
            "dropped": [{"reason": "x", "explanation": text or "The answer is wrong.", "count": 7, "unit": "traces"}],
        },
        "training": training,
        "control": ControlArm(
            comparison=compare_with_control(after, control),
            report=control,
            traces=12,
            right=5,
            calls=40,
            training=training,
        ),
        "provenance": Provenance(
            versions=(("base", text or "pocket"), ("dataset", "d" * 64)),
            settings=(("seed", text or "0"),),
            lineage=((text or "pocket", "the bare base"), ("v_new", "the candidate")),
            command=text or "ratchet improve --seed 0",
        ),
    }
    return Page(**{**fields, **changes})


@pytest.fixture
def new_page() -> Callable[..., Page]:
    """Makes pages; see `make_page`."""
    return make_page


@pytest.fixture
def new_reports() -> Callable[..., tuple[Report, Report]]:
    """Makes two reports of the same problems, from a rule each: is the problem of this number right?"""

    def make(first: Callable[[int], bool], second: Callable[[int], bool], count: int = 100) -> tuple[Report, Report]:
        problems = [make_problem(number) for number in range(count)]
        return make_report(problems, first, "a"), make_report(problems, second, "b")

    return make
