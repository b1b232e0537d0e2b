"""Trains a control on unfiltered runs, measures it on the same problems, and asks what curation was worth.

The control stays in the round's folder and never enters the registry: it is trained on wrong answers, and whatever is
in the registry can be promoted, served by name, or become some version's parent.
"""

from pathlib import Path

from langgraph_ratchet.core.ids import content_id, file_hash
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.curation import Rolled, summary, unfiltered
from langgraph_ratchet.evaluation.control import compare_with_control
from langgraph_ratchet.evaluation.runner import measure, report
from langgraph_ratchet.improvement.measuring import complete, measurement_of
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.nodes.grade import graded_rollouts
from langgraph_ratchet.improvement.nodes.train import recipe
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite
from langgraph_ratchet.registry.adapter import WEIGHTS
from langgraph_ratchet.training.run import run_job


def control(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """Each part finds what it did before: the draw is seeded, a job that is done is not done again, traces have ids."""
    folder = services.round_folder(state)
    rolled = [Rolled(item.problem, item.trace, item.grade) for item in graded_rollouts(state, services)]
    suite = load_suite(state["suite"])
    problems = generate(suite)
    dataset = unfiltered(
        rolled,
        traces=(state["curated"] or {})["traces"],
        seed=state["seed"],
        held_out={problem.id for problem in problems},
        fingerprint=services.fingerprint,
    )
    path = write(folder / "control-dataset.json", dataset)
    job = recipe(state, services, dataset=Path(path), folder=folder / "control")
    trained = run_job(job, folder=folder / "control", on_progress=_as_control(say))
    version = content_id("control", file_hash(trained.folder / WEIGHTS))
    wanted = measurement_of(state, services, label="control", suite=suite, version=version)
    reasoner = services.reasoner(str(trained.folder), deterministic=state.get("deterministic", False))
    graded = measure(
        reasoner,
        services.store,
        problems,
        wanted,
        replay=services.replay,
        phase="evaluate",
        on_progress=_as_control(say),
    )
    measured = report(complete(graded, len(problems)), wanted)
    candidate = Report.model_validate_json(Path(str(state["report"])).read_bytes())
    return {
        "control_arm": {
            "comparison": compare_with_control(candidate, measured, services.gate).model_dump(mode="json"),
            "report": write(folder / "control.json", measured),
            "adapter": str(trained.folder),
            "curated": summary(dataset),
            "right": len({example.trace_id for example in dataset.examples if example.verified}),
            "training": trained.statistics.model_dump(mode="json"),
        }
    }


def _as_control(say: OnProgress) -> OnProgress:
    """Tells progress under phases of the control's own: `control_train`, `control_evaluate`."""

    def said(progress: Progress) -> None:
        say(progress.model_copy(update={"phase": f"control_{progress.phase}"}))

    return said
