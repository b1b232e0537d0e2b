"""Makes the problems to practise on."""

from pathlib import Path

import orjson

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.core.suite import Suite
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services, write_bytes
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite

_FILE = "practice.json"


def propose(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Fresh problems each round, of the split `train`, which no held-out problem can be in.

    What an earlier round practised comes again only where a level has nothing else left.
    """
    folder = services.round_folder(state)
    practised = _practised(folder.parent, before=state["round"])
    problems = generate(practice_suite(state), known=practised)
    path = write_bytes(folder / _FILE, orjson.dumps([problem.model_dump(mode="json") for problem in problems]))
    again = sum(problem.id in practised for problem in problems)
    message = f"{again} were practised before: there are no others left" if again else ""
    say(Progress(phase="propose", done=len(problems), total=len(problems), message=message))
    return {"practice_problems": path, "proposed": {"fresh": len(problems) - again, "again": again}}


def practice_suite(state: ImprovementState) -> Suite:
    """The practice suite, with a seed of this run and round."""
    suite = load_suite(state["practice"])
    if suite.split is not Split.TRAIN:
        raise BadInputError(
            f"suite {suite.name!r} is of the split {suite.split.value!r}; practice needs one of the split 'train'"
        )
    return suite.model_copy(update={"seed": derive_seed(suite.seed, state["seed"], state["round"])})


def read_problems(path: str | Path) -> list[Problem]:
    """The problems that `propose` wrote."""
    with open(path, "rb") as file:
        return [Problem.model_validate(row) for row in orjson.loads(file.read())]


def _practised(run_folder: Path, *, before: int) -> set[str]:
    """Ids of the problems that the run's earlier rounds practised."""
    files = (run_folder / f"round-{number}" / _FILE for number in range(1, before))
    return {problem.id for file in files if file.is_file() for problem in read_problems(file)}
