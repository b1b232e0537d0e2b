"""Makes the problems to practise on."""

import orjson

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.core.suite import Suite
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite


def propose(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Fresh problems each round, of the split `train`, which no held-out problem can be in."""
    problems = generate(practice_suite(state))
    path = services.round_folder(state) / "practice.json"
    path.write_bytes(orjson.dumps([problem.model_dump(mode="json") for problem in problems]))
    say(Progress(phase="propose", done=len(problems), total=len(problems)))
    return {"practice_problems": str(path)}


def practice_suite(state: ImprovementState) -> Suite:
    """The practice suite, with a seed of this run and round."""
    suite = load_suite(state["practice"])
    if suite.split is not Split.TRAIN:
        raise BadInputError(
            f"suite {suite.name!r} is of the split {suite.split.value!r}; practice needs one of the split 'train'"
        )
    return suite.model_copy(update={"seed": derive_seed(suite.seed, state["seed"], state["round"])})


def read_problems(path: str) -> list[Problem]:
    """The problems that `propose` wrote."""
    with open(path, "rb") as file:
        return [Problem.model_validate(row) for row in orjson.loads(file.read())]
