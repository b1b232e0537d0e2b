"""Pretrains the pocket model from nothing: `python -m langgraph_ratchet.training.pretrain DATA MODEL_DIR OUT --tokens N`.

Each worker thread holds a replica that shares the weights and takes a part of every batch on one core: on small
matrices this is faster than one replica on several cores, and it is deterministic.
"""

import argparse
import copy
import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from torch import Tensor

from langgraph_ratchet.core.errors import BadInputError, TrainingFailedError
from langgraph_ratchet.core.ids import content_hash, file_hash
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.training.checkpoint import load_checkpoint, save_checkpoint
from langgraph_ratchet.training.llama_loss import losses_at
from langgraph_ratchet.training.samples import COPY, Samples, load_samples, plan_batches

_SAID_EVERY_S = 10.0
_FINISHED = "pretraining.json"


@dataclass(frozen=True)
class PretrainSettings:
    """What decides the resulting weights, besides data and model shape."""

    tokens: int
    """Tokens to see in total, padding left out."""
    copy_share: tuple[float, float] = (0.6, 0.1)
    """Share of copy practice among the samples, at the start and at the end."""
    batch_tokens: int = 2048
    """Tokens of one optimizer step, padding included."""
    lr: float = 2e-3
    """Highest learning rate."""
    warmup: float = 0.02
    """Share of the steps in which the learning rate rises; it then falls along a cosine to a twentieth."""
    weight_decay: float = 0.05
    seed: int = 0
    workers: int = 2
    """Replicas, one core each."""


class _Tally:
    """Losses since the last line that was printed, by kind of sample."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.loss, self.targets = [0.0, 0.0], [0, 0]

    def add(self, kind: int, loss: float, targets: int) -> None:
        self.loss[kind] += loss
        self.targets[kind] += targets

    def mean(self, *kinds: int) -> float:
        targets = sum(self.targets[kind] for kind in kinds)
        return sum(self.loss[kind] for kind in kinds) / targets if targets else math.nan


class Pretraining:
    """One run: model, optimizer and position. `pretrain` is the way in."""

    def __init__(self, samples: Samples, model_dir: Path, settings: PretrainSettings) -> None:
        from transformers import LlamaForCausalLM

        torch.manual_seed(settings.seed)
        self.samples, self.settings = samples, settings
        self.model: Any = LlamaForCausalLM(_config(model_dir)).train()
        self.replicas = [self.model, *(_sharing(self.model) for _ in range(settings.workers - 1))]
        self.batches = plan_batches(
            samples,
            tokens=settings.tokens,
            copy_share=settings.copy_share,
            batch_tokens=settings.batch_tokens,
            seed=settings.seed,
        )
        parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
                {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
            ],
            lr=settings.lr,
            betas=(0.9, 0.95),
            fused=True,
        )
        self.steps_done, self.tokens_done, self.seconds = 0, 0, 0.0
        self.tally = _Tally()

    def step(self, pool: ThreadPoolExecutor) -> None:
        """One optimizer step.

        Raises:
            TrainingFailedError: the loss is not a finite number.
        """
        batch = self.batches[self.steps_done]
        parts = [part for part in (batch[i :: len(self.replicas)] for i in range(len(self.replicas))) if part]
        counts = [self._targets(part) for part in parts]
        total = sum(sum(count) for count in counts)
        jobs = zip(self.replicas, parts, [total] * len(parts), strict=False)
        for losses, count in zip(pool.map(lambda job: self._gradients(*job), jobs), counts, strict=True):
            for kind in (0, 1):
                self.tally.add(kind, losses[kind], count[kind])
            if not math.isfinite(sum(losses)):
                raise TrainingFailedError(
                    f"pretraining failed at step {self.steps_done + 1}: the loss is {sum(losses)}; "
                    f"lower the learning rate (it is {self.settings.lr:g})"
                )
        for replica in self.replicas[1 : len(parts)]:
            for shared, own in zip(self.model.parameters(), replica.parameters(), strict=True):
                shared.grad.add_(own.grad)
                own.grad = None
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        self.tokens_done += int(self.samples.lengths[batch].sum())

    def _targets(self, rows: list[int]) -> list[int]:
        counts = [0, 0]
        for row in rows:
            start, end = self.samples.offsets[row : row + 2]
            counts[int(self.samples.kind[row] == COPY)] += int(self.samples.mask[start + 1 : end].sum())
        return counts

    def _gradients(self, replica: Any, rows: list[int], total: int) -> list[float]:
        """Adds the gradient of (sum of losses / `total`) to the replica; gives the summed loss by kind of sample."""
        ids_BT, mask_BT = (torch.from_numpy(array) for array in self.samples.padded(rows))
        mask_BT[:, 0] = False
        losses_N = losses_at(replica, ids_BT, mask_BT)
        (losses_N.sum() / total).backward()  # type: ignore[no-untyped-call]
        copies = torch.from_numpy(self.samples.kind[rows] == COPY)[:, None].expand(mask_BT.shape)[mask_BT]
        losses = losses_N.detach()
        return [float(losses[~copies].sum()), float(losses[copies].sum())]

    def _lr(self) -> float:
        done, steps = self.steps_done + 1, len(self.batches)
        warmup = max(1, int(self.settings.warmup * steps))
        if done <= warmup:
            return self.settings.lr * done / warmup
        rest = (done - warmup) / max(1, steps - warmup)
        return self.settings.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * rest)))

    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimizer moments by name."""
        named = {f"model.{name}": parameter.detach() for name, parameter in self.model.named_parameters()}
        for name, parameter in self.model.named_parameters():
            for moment, value in self.optimizer.state[parameter].items():
                named[f"{moment}.{name}"] = value
        return named

    def restore(self, steps_done: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Goes back to where `tensors` and `state` were saved."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                moments = ("step", "exp_avg", "exp_avg_sq")
                self.optimizer.state[parameter] = {moment: tensors[f"{moment}.{name}"] for moment in moments}
        self.steps_done, self.tokens_done, self.seconds = steps_done, state["tokens"], state["seconds"]


def pretrain(
    data: Path,
    model_dir: Path,
    out: Path,
    *,
    settings: PretrainSettings,
    checkpoint_every_s: float = 120.0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Trains a Llama model from nothing and leaves it in `out` with its tokenizer.

    A run that was killed goes on from its last checkpoint (`out/checkpoints`) when called again with equal
    arguments, sees the same batches and ends with the same weights; a finished run is not repeated.

    Args:
        data: folder that `load_samples` reads.
        model_dir: folder with `config.json` (a `LlamaConfig`) and the tokenizer's files.
        out: folder of the finished model.
        settings: what decides the weights.
        checkpoint_every_s: seconds between checkpoints.
        on_progress: told about every ten seconds, and once at the end; `None` prints.

    Returns:
        What was measured: `steps`, `tokens`, `seconds`, `loss`, `copy_loss`, `demonstration_loss` (over the last
        5 % of the steps, nats per token under the loss), `parameters`, `settings`, `identity`.

    Raises:
        BadInputError: the data do not fit the model, or `out` holds another run.
        TrainingFailedError: the loss is not a finite number.
    """
    say = on_progress or _say
    config = _config(model_dir)
    samples = load_samples(data, vocabulary=config.vocab_size, longest=config.max_position_embeddings)
    identity = _identity(data, model_dir, settings)
    if (out / _FINISHED).is_file():
        finished: dict[str, Any] = orjson.loads((out / _FINISHED).read_bytes())
        _same_run(finished["identity"], identity, out)
        return finished
    run = Pretraining(samples, model_dir, settings)
    if checkpoint := load_checkpoint(out / "checkpoints"):
        _same_run(checkpoint[2]["identity"], identity, out)
        run.restore(*checkpoint)
        say(_progress(run, math.nan, f"resumed at step {run.steps_done}"))
    threads = torch.get_num_threads()
    # One core per replica; the optimizer, in this thread, must not depend on the number of cores either.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(settings.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            last = _train(run, pool, out / "checkpoints", identity, checkpoint_every_s, say)
    finally:
        torch.set_num_threads(threads)
    return _finish(run, last, model_dir, out, identity)


def _train(
    run: Pretraining,
    pool: ThreadPoolExecutor,
    checkpoints: Path,
    identity: str,
    checkpoint_every_s: float,
    say: OnProgress,
) -> _Tally:
    steps = len(run.batches)
    before, started, said, saved = run.seconds, time.monotonic(), time.monotonic(), time.monotonic()
    said_tokens, last = run.tokens_done, _Tally()
    while run.steps_done < steps:
        run.step(pool)
        now = time.monotonic()
        run.seconds = before + now - started
        if now - said >= _SAID_EVERY_S or run.steps_done == steps:
            speed = (run.tokens_done - said_tokens) / (now - said)
            say(_progress(run, speed, ""))
            said, said_tokens = now, run.tokens_done
            if run.steps_done > 0.95 * steps:
                for kind in (0, 1):
                    last.add(kind, run.tally.loss[kind], run.tally.targets[kind])
            run.tally.clear()
        if now - saved >= checkpoint_every_s and run.steps_done < steps:
            state = {"identity": identity, "tokens": run.tokens_done, "seconds": run.seconds}
            save_checkpoint(checkpoints, run.steps_done, run.tensors(), state)
            saved = time.monotonic()
    return last


def _finish(run: Pretraining, last: _Tally, model_dir: Path, out: Path, identity: str) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    run.model.save_pretrained(out)
    for path in model_dir.iterdir():
        # The tokenizer's files, as they are: what save_pretrained writes from a loaded tokenizer may differ in bytes.
        if path.is_file() and path.suffix != ".safetensors" and path.name != _FINISHED:
            shutil.copyfile(path, out / path.name)
    measured = {
        "steps": run.steps_done,
        "tokens": run.tokens_done,
        "seconds": round(run.seconds, 1),
        "loss": last.mean(0, 1),
        "copy_loss": last.mean(1),
        "demonstration_loss": last.mean(0),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "settings": asdict(run.settings),
        "identity": identity,
    }
    (out / _FINISHED).write_bytes(orjson.dumps(measured, option=orjson.OPT_INDENT_2))
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return measured


def _config(model_dir: Path) -> Any:
    from transformers import LlamaConfig

    if not (model_dir / "config.json").is_file():
        raise BadInputError(f"no config.json in {model_dir}: write the model's shape there as a LlamaConfig")
    kind = orjson.loads((model_dir / "config.json").read_bytes()).get("model_type")
    if kind != "llama":
        raise BadInputError(f"{model_dir} describes a {kind!r} model; pretraining knows 'llama' only")
    return LlamaConfig.from_pretrained(model_dir, attn_implementation="sdpa", use_cache=False)


def _sharing(model: Any) -> Any:
    """A copy whose parameters are the model's own memory, with gradients of its own."""
    replica = copy.deepcopy(model)
    for shared, own in zip(model.parameters(), replica.parameters(), strict=True):
        own.data = shared.data
    return replica


def _identity(data: Path, model_dir: Path, settings: PretrainSettings) -> str:
    files = [*sorted(data.glob("*.npy")), model_dir / "config.json"]
    return content_hash([asdict(settings), [file_hash(path) for path in files]])


def _same_run(found: str, wanted: str, out: Path) -> None:
    if found != wanted:
        raise BadInputError(f"{out} holds a run with other data, model shape or settings; remove it or choose another")


def _progress(run: Pretraining, speed: float, message: str) -> Progress:
    # Tokens to come, not tokens asked for: the last batch may go over.
    left = run.settings.tokens - run.tokens_done
    told = [message] if message else []
    if math.isfinite(speed):
        told = [
            f"demonstrations {run.tally.mean(0):.3f}, copies {run.tally.mean(1):.3f}",
            f"{speed:,.0f} tokens/s",
            f"{max(0.0, left / speed / 60):.1f} min left",
        ]
    loss = run.tally.mean(0, 1)
    return Progress(
        phase="pretrain",
        done=run.tokens_done,
        total=run.settings.tokens,
        loss=loss if math.isfinite(loss) else None,
        message=", ".join(told),
    )


def _say(progress: Progress) -> None:
    loss = "" if progress.loss is None else f" loss {progress.loss:.3f}"
    print(f"{progress.done:,} of {progress.total:,} tokens{loss} {progress.message}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pretrain a small Llama model from nothing.")
    for folder in ("data", "model_dir", "out"):
        parser.add_argument(folder, type=Path)
    parser.add_argument("--tokens", type=int, required=True)
    for name in ("batch_tokens", "seed", "workers"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(PretrainSettings, name))
    for name in ("lr", "warmup", "weight_decay"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(PretrainSettings, name))
    parser.add_argument("--copy-share", type=float, nargs=2, default=PretrainSettings.copy_share)
    parser.add_argument("--checkpoint-every-s", type=float, default=120.0)
    given = vars(parser.parse_args(arguments))
    folders = [given.pop(name) for name in ("data", "model_dir", "out")]
    every = given.pop("checkpoint_every_s")
    given["copy_share"] = tuple(given["copy_share"])
    print(pretrain(*folders, settings=PretrainSettings(**given), checkpoint_every_s=every))


if __name__ == "__main__":
    main()
