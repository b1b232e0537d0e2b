"""Calls, traces and child processes for the tests of recording."""

import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.call import Call, CallKey, Fingerprint, Sampling, Tokens, Usage
from langgraph_ratchet.core.question import Attachment, Question, QuestionType
from langgraph_ratchet.core.step import Step, Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.traces.store import TraceStore

FINGERPRINT = Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/traces.db"


@pytest.fixture
def store(url: str) -> Iterator[TraceStore]:
    store = TraceStore(url)
    yield store
    store.close()


@pytest.fixture
def question() -> Question:
    return Question(
        type=QuestionType.MULTI_HOP,
        text="Who is the manager of Ada?",
        context="See the facts.",
        attachments=(Attachment(name="facts", text="The manager of Ada is Bo."),),
    )


@pytest.fixture
def make_call() -> Callable[..., Call]:
    def make(run_id: str = "run_1", index: int = 0, *, task: str = "task", attempt: int = 1, **fields: Any) -> Call:
        defaults: dict[str, Any] = {
            "id": f"call_{run_id}_{task}_{index}_{attempt}",
            "key": CallKey(run_id=run_id, task_id=task, index=index, attempt=attempt),
            "node": "act",
            "messages": ({"role": "user", "content": "What is 1 + 1?"},),
            "tools": ({"type": "function", "function": {"name": "calculator"}},),
            "reply": {"role": "assistant", "content": f"reply {index}"},
            "sampling": Sampling(temperature=0.5, seed=3, max_tokens=9),
            "usage": Usage(input_tokens=5, output_tokens=3),
            "seconds": 0.25,
            "tokens": Tokens(
                prompt_ids=(1, 2, 3, 4, 5),
                completion_ids=(6, 7, 8),
                logprobs=(-0.1, -1 / 3, -1e-17),
                fingerprint=FINGERPRINT,
            ),
        }
        return Call(**{**defaults, **fields})

    return make


@pytest.fixture
def make_trace(question: Question) -> Callable[..., Trace]:
    def make(run_id: str = "run_1", calls: tuple[Call, ...] = (), **fields: Any) -> Trace:
        step = Step(
            number=1,
            description="Look up the manager.",
            tool="documents",
            input={"query": "manager of Ada"},
            output="The manager of Ada is Bo.",
            confidence=0.75,
            call_id="call_run_1_task_0_1",
            trust=Trust.UNTRUSTED,
        )
        defaults: dict[str, Any] = {
            "id": run_id,
            "question": question,
            "model": "scripted",
            "model_version": None,
            "strategy": "deductive",
            "plan": ("Look up the manager.",),
            "steps": (step,),
            "calls": calls,
            "answer": "Bo",
            "confidence": 0.9,
            "outcome": Outcome.ANSWERED,
            "started_at": 1.5e9,
            "seconds": 2.5,
            "code_version": "0.1.0",
        }
        return Trace(**{**defaults, **fields})

    return make


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[], None]], int]]:
    """Runs a function in a child process and gives its process id; exit status 1 says that it raised."""
    children: list[int] = []

    def start(function: Callable[[], None]) -> int:
        if child := os.fork():
            children.append(child)
            return child
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    yield start
    for child in children:
        try:
            os.kill(child, 9)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # waited for by the test


@pytest.fixture
def exit_status() -> Callable[[int], int]:
    """Waits for a child process and returns its exit status."""
    return lambda process: os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
