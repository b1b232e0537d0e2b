"""Trains a candidate from the base, in a process of its own, and adds it to the registry."""

from pathlib import Path

from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.improvement.node import Update
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState
from langgraph_ratchet.training.dataset import read_dataset
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.run import run_job


def train(state: ImprovementState, services: Services, say: OnProgress) -> Update:
    """From the base and not from the champion: errors of earlier rounds do not add up."""
    dataset = read_dataset(Path(str(state["dataset"])))
    folder = services.round_folder(state) / "training"
    job = recipe(state, services, dataset=Path(str(state["dataset"])), folder=folder)
    trained = run_job(job, folder=folder, on_progress=say)
    version = services.registry.add(
        trained.folder,
        base=services.base_name,
        parent=state["champion"],
        dataset_hash=dataset.hash,
        trace_ids=sorted({example.trace_id for example in dataset.examples}),
        fingerprint=dataset.fingerprint,
        training=trained.statistics,
        arguments=job.model_dump(mode="json", exclude={"dataset", "out"}),
    )
    return {"candidate": version.id, "training": trained.statistics.model_dump(mode="json")}


def recipe(state: ImprovementState, services: Services, *, dataset: Path, folder: Path) -> Job:
    """How this run trains: the candidate, and the control beside it."""
    return Job(base=services.base_name, dataset=dataset, out=folder / "adapter", seed=state["seed"])
