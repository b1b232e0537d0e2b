"""Experts and novices on the real graph with the real tools: who runs, on what, and what they say."""

import re
from collections.abc import Mapping
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

Habits = Mapping[tuple[str, int], Habit]
Run = list[Call]


def question_of(run: Run) -> str:
    return str(run[0].messages[1]["content"])


def said(run: Run, node: str, revision: int = 0) -> str:
    """The last reply of a node."""
    return str([call.reply["content"] for call in run if call.node == node and call.revision == revision][-1])


def plan_of(expert: Any) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(expert.plan, start=1))


@pytest.fixture(scope="module")
def problems(habits: Habits, seed: int) -> dict[str, Problem]:
    """Problems of the split `pretrain`, by text: those that the demonstrations can have drawn, and no others."""
    streams = (ProblemStream(get_family(name), level, Split.PRETRAIN, seed=seed) for name, level in habits)
    return {(problem := next(stream)).question.text: problem for stream in streams for _ in range(70)}


@pytest.fixture(scope="module")
def experts(runs: list[Run], problems: dict[str, Problem]) -> list[bool]:
    """For each run, whether it set out the expert's way."""
    found = []
    for run in runs:
        problem = problems[question_of(run)]
        found.append(said(run, "plan") == plan_of(get_family(problem.family).expert(problem.question)))
    return found


def test_only_problems_of_the_pretraining_split_are_shown(runs: list[Run], problems: dict[str, Problem]) -> None:
    assert len(runs) == 130
    asked = [question_of(run) for run in runs]
    assert set(asked) <= problems.keys()
    # Once more for the families whose text holds all parameters, without the streams.
    weekdays = [text[-11:-1] for text in asked if "day of the week" in text]
    sums = [text.split(": ")[1].removesuffix(" =") for text in asked if "arithmetic" in text]
    assert min(len(weekdays), len(sums)) > 5
    assert all(split_of("weekday", {"date": date}) is Split.PRETRAIN for date in weekdays)
    assert all(split_of("chain_sum", {"expression": expression}) is Split.PRETRAIN for expression in sums)


def test_experts_have_the_share_that_was_asked_for(
    runs: list[Run], experts: list[bool], problems: dict[str, Problem], habits: Habits
) -> None:
    for (name, level), habit in habits.items():
        ways = [
            expert
            for run, expert in zip(runs, experts, strict=True)
            if (problems[question_of(run)].family, problems[question_of(run)].difficulty) == (name, level)
        ]
        assert len(ways) > 5
        spread = sqrt(habit.expert_share * (1 - habit.expert_share) / len(ways))
        assert abs(sum(ways) / len(ways) - habit.expert_share) < 3 * spread


def test_levels_are_shown_by_their_weights(runs: list[Run], problems: dict[str, Problem]) -> None:
    sums = sum(problems[question_of(run)].family == "chain_sum" for run in runs)
    assert abs(sums / len(runs) - 6 / 9) < 3 * sqrt(6 / 9 * 3 / 9 / len(runs))


def test_experts_are_right_and_doubted_novices_become_experts(
    runs: list[Run], experts: list[bool], problems: dict[str, Problem]
) -> None:
    doubted = wrong = 0
    for run, expert in zip(runs, experts, strict=True):
        problem = problems[question_of(run)]
        family = get_family(problem.family)
        last = run[-1].revision
        answer = said(run, "synthesize", last)
        if expert or last:
            assert answer == family.solve(problem.question)
        if last:
            assert not expert
            assert said(run, "self_check") == "no"
            assert said(run, "plan", 1) == plan_of(family.expert(problem.question))
            doubted += 1
        elif not expert:
            wrong += answer != family.solve(problem.question)
        assert last == 0 or problem.difficulty != 1 or problem.family != "chain_sum"  # never doubted there
    assert doubted >= 5
    assert wrong >= 15


def test_what_a_run_says_hangs_together(runs: list[Run]) -> None:
    for run in runs:
        last = run[-1].revision
        way = "plan,act+,synthesize,self_check"
        nodes = [call.node for call in run]
        assert re.fullmatch(
            "plan,select_strategy,(act,)+synthesize,self_check(,plan,(act,)+synthesize,self_check)?", ",".join(nodes)
        ), way
        conclusion, answer = said(run, "act", last), said(run, "synthesize", last)
        assert conclusion.endswith(f" is {answer}.")
        assert said(run, "self_check", last) == "yes"
        results = [message["content"] for message in run[-3].messages if message["role"] == "tool"]
        assert not results or answer in results[-1]  # read off the tool, not made up


def test_calls_are_those_of_the_real_graph(runs: list[Run]) -> None:
    tools = {"calculator", "clock", "documents"}
    for call in (call for run in runs for call in run):
        assert {tool["function"]["name"] for tool in call.tools} == (tools if call.node == "act" else set())
        assert call.error is None
        assert call.reply is not None


def content(call: Call) -> tuple[Any, ...]:
    return call.node, call.messages, call.reply


def test_equal_seeds_give_equal_demonstrations(habits: Habits, seed: int, calls: Run) -> None:
    again = list(demonstrate(habits, runs=4, seed=seed, on_progress=silent))
    assert [content(call) for call in again] == [content(call) for call in calls[: len(again)]]
    other = list(demonstrate(habits, runs=4, seed=seed + 1, on_progress=silent))
    assert question_of(other) != question_of(again)


def test_runs_are_counted_and_progress_is_told(habits: Habits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstrate_module, "_RUNS_PER_STORE", 3)
    told: list[Progress] = []
    shown = list(demonstrate(habits, runs=7, seed=1, on_progress=told.append))
    assert len({call.key.run_id for call in shown}) == 7
    assert [(progress.done, progress.total) for progress in told] == [(3, 7), (6, 7), (7, 7)]


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
