"""Lets experts and novices run the reasoning graph, and gives back every call that they made."""

import random
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.problems import Expert, get_family
from langgraph_ratchet.problems.generate import ProblemStream
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.reruns import Recordings, again
from langgraph_ratchet.synthesis.habits import Habit
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

_RUNS_PER_STORE = 250
_NODES = ("plan", "select_strategy", "synthesize", "self_check")


class Performance:
    """A policy that answers one question: some expert's way, and another's if the self-check turns the first down."""

    def __init__(self, first: Expert, second: Expert | None) -> None:
        """`second` is the way after the self-check said no; `None` when it says yes at once."""
        self._expert = first
        self._second = second
        self._outputs: list[str] = []

    def __call__(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        """The reply of whichever node is asking."""
        node = next((name for name in _NODES if _opening(name) in str(messages[0].content)), "act")
        if node == "plan":
            return AIMessage("\n".join(f"{number}. {line}" for number, line in enumerate(self._expert.plan, start=1)))
        if node == "select_strategy":
            return AIMessage(self._expert.strategy)
        if node == "synthesize":
            return AIMessage(self._expert.answer(self._outputs))
        if node == "self_check":
            return self._check()
        self._outputs = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
        move = self._expert.next_call(self._outputs)
        if move is None:
            return AIMessage(self._expert.conclusion(self._outputs))
        call_id = f"call_{len(self._outputs)}"
        return AIMessage("", tool_calls=[{"name": move.tool, "args": dict(move.arguments), "id": call_id}])

    def _check(self) -> AIMessage:
        if self._second is None:
            return AIMessage("yes")
        self._expert, self._second = self._second, None
        return AIMessage("no")


def _opening(node: str) -> str:
    """How the node's prompt begins, up to what is filled in."""
    return prompt(node).split("{")[0]


def demonstrate(
    habits: Mapping[tuple[str, int], Habit], *, runs: int, seed: int, on_progress: OnProgress
) -> Iterator[Call]:
    """Every call of `runs` runs of the reasoning graph with its real tools, in random order of levels.

    Args:
        habits: what is shown, and how often the right way; by family and level.
        runs: how many, shared out by the levels' weights.
        seed: draws the problems, of the split `pretrain` only, and the ways.
        on_progress: told of every 250 runs.
    """
    problems = _problems(habits, seed=seed)
    done = 0
    while done < runs:
        chunk = list(islice(problems, min(_RUNS_PER_STORE, runs - done)))
        yield from _perform(habits, chunk, seed=derive_seed(seed, "ways", done))
        done += len(chunk)
        on_progress(Progress(phase="demonstrate", done=done, total=runs))


def _problems(habits: Mapping[tuple[str, int], Habit], *, seed: int) -> Iterator[Problem]:
    rng = random.Random(derive_seed(seed, "levels"))
    levels = list(habits)
    streams = {
        (name, level): ProblemStream(get_family(name), level, Split.PRETRAIN, seed=seed) for name, level in levels
    }
    weights = [habits[level].weight for level in levels]
    while True:
        yield next(streams[rng.choices(levels, weights)[0]])


def _perform(habits: Mapping[tuple[str, int], Habit], problems: list[Problem], *, seed: int) -> Iterator[Call]:
    """Runs them one after another: the model that plays the experts has one part at a time."""
    rng = random.Random(seed)
    store = TraceStore(":memory:")
    model = PolicyChatModel(policy=_nobody, name_of_model="demonstrator")
    reasoner = create_reasoner(model, get_tools(), store=store).compile()
    recordings = Recordings(store)
    for problem in problems:
        family = get_family(problem.family)
        expert = family.expert(problem.question)
        model.policy = Performance(expert, None)
        habit = habits[problem.family, problem.difficulty]
        if rng.random() >= habit.expert_share:
            novice = family.novice(problem.question, random.Random(rng.getrandbits(63)))
            model.policy = Performance(novice, expert if rng.random() < habit.doubt else None)
        with again(recordings, problem.question.id):
            result = reasoner.invoke({"question": problem.question.model_dump(mode="json")})
        yield from store.trace(result["trace_id"]).calls
    store.close()


def _nobody(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
    raise BadInputError("the demonstrator was asked before it was given a part")
