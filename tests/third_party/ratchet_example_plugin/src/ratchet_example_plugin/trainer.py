"""The trainer `best_half`: supervised fine-tuning on the better half of the examples."""

from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.progress import OnProgress
from langgraph_ratchet.training.dataset import read_dataset
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.sft import train_adapter


def train(job: Job, on_progress: OnProgress) -> TrainingStatistics:
    """Trains on the examples of the highest quality; an unmeasured quality counts as the lowest."""
    dataset = read_dataset(job.dataset)
    ranked = sorted(dataset.examples, key=lambda example: (-(example.quality or 0.0), example.id))
    half = dataset.model_copy(update={"examples": tuple(ranked[: (len(ranked) + 1) // 2])})
    path = job.out.with_name("best_half.json")
    path.write_text(half.model_dump_json(), encoding="utf-8")
    return train_adapter(job.model_copy(update={"dataset": path}), on_progress)
