"""Graded runs, made of the nouns themselves: a problem, its trace call by call, its grade."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.call import Call, CallKey, Fingerprint, Tokens
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.core.step import Step, Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.curation import Rolled

FINGERPRINT = Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64)


def ids(text: str) -> tuple[int, ...]:
    """A tokenizer for tests: one id for each piece of up to four characters of a word, the space with it."""
    pieces = []
    for word in text.replace("\n", " \n").split(" "):
        spaced = " " + word
        pieces += [spaced[at : at + 4] for at in range(0, len(spaced), 4)]
    return tuple(int.from_bytes(piece.encode(), "big") for piece in pieces)


@dataclass
class Run:
    """A run in the making. Each method adds to it and returns it; `rolled` ends it."""

    problem: Problem
    trace_id: str
    calls: list[Call] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    revision: int = 0

    def call(
        self,
        node: str,
        reply: str | None = "",
        *,
        tool: tuple[str, dict[str, Any]] | None = None,
        prompt: str = "",
        **changes: Any,
    ) -> "Run":
        """The model replies with a text or a tool call."""
        number = len(self.calls)
        message: dict[str, Any] | None = None if reply is None else {"role": "assistant", "content": reply}
        written = reply or ""
        if tool and message:
            arguments = ", ".join(f'"{name}": "{value}"' for name, value in tool[1].items())
            written = f"{reply}{tool[0]} {{{arguments}}}"
            message["tool_calls"] = [
                {
                    "type": "function",
                    "id": f"{self.trace_id}.{number}",
                    "function": {"name": tool[0], "arguments": f"{{{arguments}}}"},
                }
            ]
        completion = ids(written)
        fields: dict[str, Any] = {
            "id": f"{self.trace_id}.call{number}",
            "key": CallKey(run_id=self.trace_id, task_id=f"task{number}", index=0),
            "node": node,
            "revision": self.revision,
            "messages": ({"role": "user", "content": prompt},),
            "reply": message,
            "seconds": 0.1,
            "tokens": Tokens(
                prompt_ids=ids(f"<{node}> {self.problem.question.text} {prompt}"),
                completion_ids=completion,
                logprobs=(-0.5,) * len(completion),
                fingerprint=FINGERPRINT,
            ),
        }
        self.calls.append(Call(**{**fields, **changes}))
        return self

    def step(self, tool: str, output: str, *, trust: Trust = Trust.OWN, failed: bool = False) -> "Run":
        """The last call's tool gives a result."""
        step = Step(
            number=len(self.steps) + 1,
            description=tool,
            tool=tool,
            output=output,
            trust=trust,
            failed=failed,
            call_id=self.calls[-1].id,
        )
        self.steps.append(step)
        return self

    def revise(self) -> "Run":
        """The self-check sent the run back."""
        self.revision += 1
        return self

    def rolled(
        self, answer: str | None, score: float | None, *, outcome: Outcome = Outcome.ANSWERED, grader: str = "exact@1"
    ) -> Rolled:
        """The run with its grade."""
        trace = Trace(
            id=self.trace_id,
            question=self.problem.question,
            model="pocket",
            model_version=None,
            strategy="direct",
            plan=(),
            steps=tuple(self.steps),
            calls=tuple(self.calls),
            answer=answer,
            confidence=None,
            outcome=outcome,
            revisions=self.revision,
            started_at=0.0,
            seconds=1.0,
            code_version="0",
        )
        right = None if score is None else score == 1.0
        grade = Grade(trace_id=self.trace_id, grader=grader, score=score, strict=right, lenient=right, reason="")
        return Rolled(problem=self.problem, trace=trace, grade=grade)


def make_problem(
    text: str = "What is 4 + 3?",
    answer: str = "7",
    *,
    type: QuestionType | None = QuestionType.MATHEMATICAL,
    tools: Sequence[str] = ("calculator",),
    split: Split = Split.TRAIN,
) -> Problem:
    """A problem to practise on."""
    question = Question(type=type, text=text)
    return Problem(
        question=question,
        key=AnswerKey(value=answer, grader="exact", question_id=question.id),
        difficulty=1,
        required_tools=tuple(tools),
        source="procedural",
        family="any",
        split=split,
    )


@pytest.fixture
def fingerprint() -> Fingerprint:
    """The base that everything is recorded with, and that is trained."""
    return FINGERPRINT


@pytest.fixture
def new_problem() -> Callable[..., Problem]:
    """Makes problems."""
    return make_problem


@pytest.fixture
def new_run() -> Callable[..., Run]:
    """Begins a run of a problem."""

    def begin(problem: Problem | None = None, trace_id: str = "t1") -> Run:
        return Run(problem or make_problem(), trace_id)

    return begin


@pytest.fixture
def encoded() -> Callable[[str], tuple[int, ...]]:
    """The ids of a text."""
    return ids


@pytest.fixture
def solved() -> Callable[..., Rolled]:
    """Makes a run with a plan, a tool call, a conclusion and an answer; right unless told otherwise."""

    def make(
        problem: Problem | None = None,
        trace_id: str = "t1",
        *,
        plan: str = "Calculate with calculator.",
        score: float | None = 1.0,
        calls: int = 1,
    ) -> Rolled:
        run = Run(problem or make_problem(), trace_id).call("plan", plan)
        for number in range(calls):
            run.call("act", tool=("calculator", {"expression": f"4 + {number}"})).step("calculator", "7")
        return run.call("act", "The result is 7.").call("synthesize", "7").rolled("7", score)

    return make
