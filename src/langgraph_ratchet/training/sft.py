"""Supervised fine-tuning: a LoRA adapter from stored token ids, loss on the model's own tokens only.

The objective over an epoch is Σ wᵢ·lossᵢ / Σ wᵢ, where lossᵢ is the mean loss over example i's own tokens and wᵢ its
weight. An example is one call and the weights of one run's calls sum to 1, so every run counts the same: a run of
ten calls no more than a run of two, and a reply of 200 tokens no more than one of five.
A batch's loss is divided by the *mean* weight of a batch, not by its own: otherwise an example would count for more
when it happens to share a batch with light ones, or with few.

Equal jobs give equal adapters on machines with equally many cores; with others they differ by rounding.
"""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langgraph_ratchet.chat_models.base import Base, load_base
from langgraph_ratchet.core.errors import BadInputError, FingerprintError, TrainingFailedError
from langgraph_ratchet.core.example import Dataset, Example
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.core.progress import OnProgress, Progress, silent
from langgraph_ratchet.training.adapter import attached_lora, check_replaceable, remove_adapter, save_adapter
from langgraph_ratchet.training.batches import plan_epochs
from langgraph_ratchet.training.checkpoint import (
    load_checkpoint,
    restore_tensors,
    save_checkpoint,
    training_tensors,
)
from langgraph_ratchet.training.dataset import read_dataset
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.learning_rate import learning_rate
from langgraph_ratchet.training.replicas import Replicas
from langgraph_ratchet.training.token_losses import token_losses

_SAID_EVERY_S = 0.5
_SMALL_PARAMETERS = 10_000_000
_MOST_REPLICAS = 4
_CURVE_POINTS = 60


@dataclass(frozen=True)
class _Part:
    """What some rows of a batch measured."""

    weighted: float
    """Σ weight × mean loss."""
    weight: float
    tokens: int
    """Without padding."""


def train_adapter(job: Job, on_progress: OnProgress = silent) -> TrainingStatistics:
    """Trains the job's adapter in this process and leaves it in `job.out`.

    The same job again goes on from the last sound checkpoint in `job.checkpoints`, if one was left there, and ends
    with the same adapter; whoever runs the job removes them.

    Args:
        job: what to train. Its base carries the adapter meanwhile, so nothing else may use it; then it is as it was.
        on_progress: told about twice a second, and at the end of every epoch.

    Raises:
        BadInputError: the dataset is missing, empty, has an example that cannot be learned from, or the output
            folder holds something else.
        UnknownNameError: there is no such base.
        FingerprintError: the dataset was recorded with another base, tokenizer or chat template.
        TrainingFailedError: the training diverged, or could not write. No adapter is left.
    """
    check_replaceable(job.out)
    dataset = read_dataset(job.dataset)
    base = load_base(job.base)
    examples = _learnable(dataset, base, job)
    remove_adapter(job.out)
    with attached_lora(base.model, job.lora, seed=job.seed) as peft_model:
        statistics = _Sft(peft_model.get_base_model(), examples, job).train(on_progress)
        save_adapter(peft_model, job)
    return statistics


def _learnable(dataset: Dataset, base: Base, job: Job) -> list[Example]:
    """The dataset's examples that count, in order of id: equal datasets train equally."""
    if not dataset.fingerprint.same_base(base.fingerprint):
        pairs = {name: (getattr(dataset.fingerprint, name), getattr(base.fingerprint, name)) for name in _COMPARED}
        odd = [
            f"{name} {found[:12]} is not {wanted[:12]}" for name, (found, wanted) in pairs.items() if found != wanted
        ]
        raise FingerprintError(
            f"{job.dataset} was not recorded with the base {job.base!r} as it is now ({'; '.join(odd)}), so its token "
            "ids mean something else: train on the base that it was recorded with, or record again"
        )
    examples = sorted((example for example in dataset.examples if example.weight), key=lambda example: example.id)
    if not examples:
        raise BadInputError(f"{job.dataset} has no example to learn from: curation kept none")
    for example in examples:
        if not 0 < example.weight < math.inf:
            raise BadInputError(f"example {example.id} has the weight {example.weight}; it must be positive")
        if not any(example.loss_mask[1:]):
            raise BadInputError(f"example {example.id} has no token under the loss (its first cannot be one)")
        if len(example.input_ids) > base.context:
            raise BadInputError(
                f"example {example.id} has {len(example.input_ids)} tokens, the base takes {base.context}: leave it out"
            )
    return examples


_COMPARED = ("base", "tokenizer", "template")


class _Sft:
    """One training run."""

    def __init__(self, model: Any, examples: list[Example], job: Job) -> None:
        self.model, self.examples, self.job = model, examples, job
        self.device = next(model.parameters()).device
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, weight_decay=0.0)
        lengths = np.array([len(example.input_ids) for example in examples])
        planned = plan_epochs(lengths, epochs=job.epochs, batch_tokens=job.batch_tokens, seed=job.seed)
        self.schedule = [
            (epoch, position / len(batches), batch)
            for epoch, batches in enumerate(planned)
            for position, batch in enumerate(batches, start=1)
        ]
        self.steps = min(len(self.schedule), job.max_steps or len(self.schedule))
        self.batch_weight = job.epochs * sum(example.weight for example in examples) / len(self.schedule)
        self.bfloat16 = _use_bfloat16(job, model, self.device)
        self.steps_done, self.tokens, self.seconds = 0, 0, 0.0
        self.sums = [[0.0, 0.0] for _ in planned]
        """By epoch: weight × loss, and weight."""
        self.curve = [[0.0, 0.0] for _ in range(min(self.steps, _CURVE_POINTS))]
        """The same by parts of the whole run, of equally many steps."""

    def train(self, on_progress: OnProgress) -> TrainingStatistics:
        """The steps that no checkpoint has done yet."""
        if checkpoint := load_checkpoint(self.job.checkpoints):
            self._restore(*checkpoint)
            on_progress(self._progress(f"resumed at step {self.steps_done}"))
        before, tokens_before = self.seconds, self.tokens
        started = said = saved = time.monotonic()
        with Replicas(self.model, self._replicas()) as replicas:
            while self.steps_done < self.steps:
                epoch, share, batch = self.schedule[self.steps_done]
                measured = self._step(replicas, batch)
                for sums in (self.sums[epoch], self.curve[(self.steps_done - 1) * len(self.curve) // self.steps]):
                    sums[0] += sum(part.weighted for part in measured)
                    sums[1] += sum(part.weight for part in measured)
                now = time.monotonic()
                self.seconds = before + now - started
                if now - said > _SAID_EVERY_S or share == 1.0:
                    said = now
                    on_progress(self._progress(f"{(self.tokens - tokens_before) / (now - started):,.0f} tokens/s"))
                if now - saved >= self.job.checkpoint_every_s:
                    self._save()
                    saved = time.monotonic()
        return self._statistics()

    def _statistics(self) -> TrainingStatistics:
        losses = [weighted / weight for weighted, weight in self.sums if weight]
        qualities = [example.quality for example in self.examples if example.quality is not None]
        return TrainingStatistics(
            examples=len(self.examples),
            examples_by_type=Counter(example.question_type for example in self.examples if example.question_type),
            mean_quality=sum(qualities) / len(qualities) if qualities else None,
            seconds=self.seconds,
            epochs=self._epochs,
            steps=self.steps_done,
            tokens=self.tokens,
            first_loss=losses[0],
            last_loss=losses[-1],
            losses=tuple(weighted / weight for weighted, weight in self.curve if weight),
        )

    @property
    def _epochs(self) -> float:
        epoch, share, _ = self.schedule[self.steps_done - 1]
        return epoch + share

    def _save(self) -> None:
        """Writes everything that the steps so far have changed."""
        state = {"tokens": self.tokens, "seconds": self.seconds, "sums": self.sums, "curve": self.curve}
        tensors = training_tensors(self._named, self.optimizer)
        save_checkpoint(self.job.checkpoints, self.steps_done, tensors, state)

    def _restore(self, steps_done: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        restore_tensors(self._named, self.optimizer, tensors)
        self.steps_done, self.tokens, self.seconds = steps_done, state["tokens"], state["seconds"]
        self.sums, self.curve = state["sums"], state["curve"]

    @property
    def _named(self) -> list[tuple[str, Any]]:
        return [(name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad]

    def _step(self, replicas: Replicas, batch: list[int]) -> list[_Part]:
        measured = replicas.gradients(batch, self._loss)
        self.steps_done += 1
        loss = sum(part.weighted for part in measured) / sum(part.weight for part in measured)
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained, self.job.max_gradient_norm))
        # Huge weights give NaN, or overflow in a normalisation to an output of 0 that no gradient passes any more.
        if not math.isfinite(loss) or not math.isfinite(norm) or (norm == 0.0 and loss > 0.0):
            raise TrainingFailedError(
                f"training diverged: at step {self.steps_done} of {self.steps} the loss is {loss:g}, "
                f"the norm of its gradient {norm:g}; lower the learning rate (it is {self.job.lr:g})"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.steps_done, self.steps, highest=self.job.lr, warmup=self.job.warmup)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.tokens += sum(part.tokens for part in measured)
        return measured

    def _loss(self, model: Any, rows: Sequence[int]) -> tuple[Tensor, _Part]:
        examples = [self.examples[row] for row in rows]
        ids_BT, mask_BT = (tensor.to(self.device) for tensor in _padded(examples))
        weight_B = torch.tensor([example.weight for example in examples], device=self.device)
        # Autocast is a property of the thread, so it is set here and not around the run.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            losses_N = token_losses(model, ids_BT, mask_BT)
        share_B = weight_B / mask_BT.sum(1)
        weighted = (losses_N * share_B[:, None].expand(mask_BT.shape)[mask_BT]).sum()
        measured = _Part(
            weighted=float(weighted.detach()),
            weight=sum(example.weight for example in examples),
            tokens=sum(len(example.input_ids) for example in examples),
        )
        return weighted / self.batch_weight, measured

    def _replicas(self) -> int:
        """Replicas help small models on several cores; a large one fills the cores alone, and copying it costs."""
        small = sum(parameter.numel() for parameter in self.model.parameters()) < _SMALL_PARAMETERS
        return min(torch.get_num_threads(), _MOST_REPLICAS) if small and self.device.type == "cpu" else 1

    def _progress(self, message: str) -> Progress:
        epochs = self._epochs
        weighted, weight = self.sums[math.ceil(epochs) - 1]
        return Progress(
            phase="train",
            done=self.steps_done,
            total=self.steps,
            epoch=round(epochs, 3),
            loss=weighted / weight,
            message=message,
        )


def _padded(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Ids and loss mask, padded on the right, each of shape (examples, longest); no first token is under the loss."""
    longest = max(len(example.input_ids) for example in examples)
    ids_BT = torch.zeros(len(examples), longest, dtype=torch.long)
    mask_BT = torch.zeros(len(examples), longest, dtype=torch.bool)
    for row, example in enumerate(examples):
        ids_BT[row, : len(example.input_ids)] = torch.tensor(example.input_ids)
        mask_BT[row, 1 : len(example.input_ids)] = torch.tensor(example.loss_mask[1:], dtype=torch.bool)
    return ids_BT, mask_BT


def _use_bfloat16(job: Job, model: Any, device: torch.device) -> bool:
    if job.precision != "auto":
        return job.precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    small = sum(parameter.numel() for parameter in model.parameters()) < _SMALL_PARAMETERS
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and not small and bool(supported())
