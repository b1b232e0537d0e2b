"""Experts and novices on the real graph with the real tools: who runs, on what, and what they say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import pytest

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.progress import Progress, silent
from langgraph_ratchet.problems import get_family, split_of
from langgraph_ratchet.problems.generate import ProblemStream
from langgraph_ratchet.problems.suites import load_suite
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.synthesis import demonstrate as demonstrate_module
from langgraph_ratchet.synthesis.demonstrate import Performance, demonstrate
from langgraph_ratchet.synthesis.habits import Habit
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

VERDICTS = {"follows": "yes", "contradicted": "no", "open": "unknown"}

Habits = Mapping[tuple[str, int], Habit]
Run = list[Call]


def question_of(run: Run) -> str:
    return str(run[0].messages[1]["content"])


def said(run: Run, node: str, revision: int = 0) -> str:
    """The last reply of a node."""
    return str([call.reply["content"] for call in run if call.node == node and call.revision == revision][-1])


def plan_of(expert: Any) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(expert.plan, start=1))


@dataclass(frozen=True)
class Shown:
    """A run, the problem that it is on, and whether it first went the expert's way."""

    calls: Run
    problem: Problem
    expert: bool

    @property
    def last(self) -> int:
        """How often the self-check sent it back."""
        return self.calls[-1].revision

    @property
    def answer(self) -> str:
        """What it ended with."""
        return said(self.calls, "synthesize", self.last)


@pytest.fixture(scope="module")
def shown(runs: list[Run], habits: Habits, seed: int) -> list[Shown]:
    """The runs with their problems, which can only be of the split `pretrain`: the first that each level draws."""
    streams = (ProblemStream(get_family(name), level, Split.PRETRAIN, seed=seed) for name, level in habits)
    drawn: dict[str, list[Problem]] = {}
    for problem in (next(stream) for stream in streams for _ in range(60)):
        drawn.setdefault(problem.question.text, []).append(problem)
    found = []
    for run in runs:
        problem = drawn[question_of(run)].pop(0)  # in the order of the stream: texts may come again
        expert = get_family(problem.family).expert(problem.question)
        found.append(Shown(run, problem, expert=said(run, "plan") == plan_of(expert)))
    return found


def test_only_problems_of_the_pretraining_split_are_shown(shown: list[Shown]) -> None:
    assert len(shown) == 140
    assert {run.problem.split for run in shown} == {Split.PRETRAIN}
    # Once more for the families whose text holds all parameters, without the streams.
    asked = [question_of(run.calls) for run in shown]
    weekdays = [text[-11:-1] for text in asked if "day of the week" in text]
    sums = [text.split(": ")[1].removesuffix(" =") for text in asked if "arithmetic" in text]
    assert min(len(weekdays), len(sums)) > 5
    assert all(split_of("weekday", {"date": date}) is Split.PRETRAIN for date in weekdays)
    assert all(split_of("chain_sum", {"expression": expression}) is Split.PRETRAIN for expression in sums)


def test_experts_have_the_share_that_was_asked_for(shown: list[Shown], habits: Habits) -> None:
    for level, habit in habits.items():
        ways = [run.expert for run in shown if (run.problem.family, run.problem.difficulty) == level]
        assert len(ways) > 5
        spread = sqrt(habit.expert_share * (1 - habit.expert_share) / len(ways))
        assert abs(sum(ways) / len(ways) - habit.expert_share) < 3 * spread


def test_levels_are_shown_by_their_weights(shown: list[Shown]) -> None:
    sums = sum(run.problem.family == "chain_sum" for run in shown)
    assert abs(sums / len(shown) - 6 / 11) < 3 * sqrt(6 / 11 * 5 / 11 / len(shown))


def test_experts_are_right(shown: list[Shown]) -> None:
    for run in shown:
        if run.expert:
            assert run.last == 0
            assert run.answer == get_family(run.problem.family).solve(run.problem.question) == run.problem.key.value
            results = [message["content"] for message in run.calls[-3].messages if message["role"] == "tool"]
            read = "\n".join(VERDICTS.get(result, result) for result in results)
            assert all(word in read for word in re.findall(r"\w+", run.answer))  # read off the tools, not made up


def test_novices_are_mostly_wrong(shown: list[Shown]) -> None:
    right = [run.answer == run.problem.key.value for run in shown if not run.expert and run.last == 0]
    assert len(right) > 20
    assert sum(right) / len(right) < 0.2


def test_doubted_novices_become_experts(shown: list[Shown], habits: Habits) -> None:
    doubted = [run for run in shown if run.last]
    assert not any(run.expert for run in doubted)
    for run in doubted:
        family = get_family(run.problem.family)
        assert habits[family.name, run.problem.difficulty].doubt > 0
        assert said(run.calls, "self_check") == "no"
        assert said(run.calls, "plan", 1) == plan_of(family.expert(run.problem.question))
        assert run.answer == run.problem.key.value
    novices = [
        run for run in shown if not run.expert and (run.problem.family, run.problem.difficulty) == ("chain_sum", 3)
    ]
    assert abs(sum(run.last for run in novices) / len(novices) - 0.5) < 3 * sqrt(0.25 / len(novices))


def test_what_a_run_says_hangs_together(runs: list[Run]) -> None:
    once = "act,(act,)*synthesize,self_check"
    for run in runs:
        nodes = ",".join(call.node for call in run)
        assert re.fullmatch(f"plan,select_strategy,{once}(,plan,{once})?", nodes), nodes
        last = run[-1].revision
        assert said(run, "act", last).endswith(f" is {said(run, 'synthesize', last)}.")
        assert said(run, "self_check", last) == "yes"


def test_calls_are_those_of_the_real_graph(calls: Run) -> None:
    tools = {"calculator", "clock", "documents", "logic"}
    for call in calls:
        assert {tool["function"]["name"] for tool in call.tools} == (tools if call.node == "act" else set())
        assert call.error is None
        assert call.reply is not None


def content(call: Call) -> tuple[Any, ...]:
    return call.node, call.messages, call.reply


def test_equal_seeds_give_equal_demonstrations(habits: Habits, seed: int, calls: Run) -> None:
    again = list(demonstrate(habits, runs=3, seed=seed, on_progress=silent))
    assert [content(call) for call in again] == [content(call) for call in calls[: len(again)]]
    other = list(demonstrate(habits, runs=3, seed=seed + 1, on_progress=silent))
    assert question_of(other) != question_of(again)


def test_runs_are_counted_and_progress_is_told(habits: Habits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstrate_module, "_RUNS_PER_STORE", 2)
    told: list[Progress] = []
    shown = list(demonstrate(habits, runs=5, seed=1, on_progress=told.append))
    assert len({call.key.run_id for call in shown}) == 5
    assert [(progress.done, progress.total) for progress in told] == [(2, 5), (4, 5), (5, 5)]


def test_prompts_of_every_node_are_short() -> None:
    suite = load_suite("first_light")
    store = TraceStore(":memory:")
    for source in suite.sources:
        family = get_family(source.family)
        for level in source.levels:
            problem = next(ProblemStream(family, level, suite.split, suite.seed))
            model = PolicyChatModel(policy=Performance(family.expert(problem.question), None))
            reasoner = create_reasoner(model, get_tools(), store=store).compile()
            out = reasoner.invoke({"question": problem.question.model_dump(mode="json")})
            assert out["answer"] == problem.key.value
            for call in store.trace(out["trace_id"]).calls:
                shown = "\n".join(str(message["content"]) for message in call.messages)
                # Words, and each digit and mark: about what a tokenizer that knows the words makes of it.
                assert len(re.findall(r"\d|[^\W\d]+|[^\w\s]", shown)) < 150, shown
    store.close()
