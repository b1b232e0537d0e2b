"""Pretrains a small Llama: `python -m langgraph_ratchet.training.pretrain DATA MODEL_DIR OUT --tokens N`."""

import argparse
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from torch import Tensor

from langgraph_ratchet.core.errors import BadInputError, TrainingFailedError
from langgraph_ratchet.core.ids import content_hash, file_hash
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.registry.files import replace_durably
from langgraph_ratchet.training.checkpoint import (
    load_checkpoint,
    restore_tensors,
    save_checkpoint,
    training_tensors,
)
from langgraph_ratchet.training.initialisation import initialise
from langgraph_ratchet.training.learning_rate import learning_rate
from langgraph_ratchet.training.replicas import Replicas
from langgraph_ratchet.training.samples import COPY, DEMONSTRATION, Samples, load_samples, plan_batches
from langgraph_ratchet.training.token_losses import token_losses

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
    lr: float = 1e-3
    """Highest learning rate."""
    warmup: float = 0.02
    """Share of the steps in which the learning rate rises; it then falls along a cosine to a twentieth."""
    weight_decay: float = 0.05
    seed: int = 0
    workers: int = 2
    """Cores."""


@dataclass(frozen=True)
class LossSums:
    """Losses by kind of sample (`DEMONSTRATION`, `COPY`), summed, and the tokens that they stand on."""

    loss: tuple[float, float] = (0.0, 0.0)
    targets: tuple[int, int] = (0, 0)

    def __add__(self, other: "LossSums") -> "LossSums":
        return LossSums(
            (self.loss[0] + other.loss[0], self.loss[1] + other.loss[1]),
            (self.targets[0] + other.targets[0], self.targets[1] + other.targets[1]),
        )

    def mean(self, *kinds: int) -> float | None:
        """Nats per token over these kinds; `None` when there was none of them."""
        targets = sum(self.targets[kind] for kind in kinds)
        return sum(self.loss[kind] for kind in kinds) / targets if targets else None


class Pretraining:
    """Model, optimizer and position of one run."""

    def __init__(self, samples: Samples, config: Any, settings: PretrainSettings) -> None:
        from transformers import LlamaForCausalLM

        self.samples, self.settings = samples, settings
        self.model: Any = LlamaForCausalLM(config).train()
        initialise(self.model, settings.seed)
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
            betas=(0.9, 0.95),
            fused=True,
        )
        self.steps_done, self.tokens_done, self.seconds = 0, 0, 0.0

    def step(self, replicas: Replicas) -> LossSums:
        """One optimizer step; raises `TrainingFailedError` when the loss is not a finite number."""
        batch = self.batches[self.steps_done]
        targets = self.samples.targets(batch)
        sums = sum(replicas.gradients(batch, lambda model, rows: self._loss(model, rows, targets)), LossSums())
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        if not math.isfinite(sum(sums.loss)) or not math.isfinite(norm):
            raise TrainingFailedError(
                f"pretraining failed at step {self.steps_done + 1}: the loss is {sum(sums.loss) / targets}, its "
                f"gradient's norm {norm}; lower the learning rate (it is {self.settings.lr:g})"
            )
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                self.steps_done + 1, len(self.batches), highest=settings.lr, warmup=settings.warmup
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        self.tokens_done += int(self.samples.lengths[batch].sum())
        return sums

    def _loss(self, model: Any, rows: Sequence[int], targets: int) -> tuple[Tensor, LossSums]:
        """Loss of some of a batch's rows, as their share of the mean over the batch's `targets`."""
        ids_BT, mask_BT = (torch.from_numpy(array) for array in self.samples.padded(rows))
        losses_N = token_losses(model, ids_BT, mask_BT)
        copies_N = torch.from_numpy(self.samples.kind[list(rows)] == COPY)[:, None].expand(mask_BT.shape)[mask_BT]
        by_kind = [losses_N.detach()[copies_N == (kind == COPY)] for kind in (DEMONSTRATION, COPY)]
        sums = LossSums((float(by_kind[0].sum()), float(by_kind[1].sum())), (by_kind[0].shape[0], by_kind[1].shape[0]))
        return losses_N.sum() / targets, sums

    def save(self, checkpoints: Path, identity: str) -> None:
        """Writes weights, optimizer and position."""
        tensors = training_tensors(self.model.named_parameters(), self.optimizer)
        state = {"identity": identity, "tokens": self.tokens_done, "seconds": self.seconds}
        save_checkpoint(checkpoints, self.steps_done, tensors, state)

    def restore(self, steps_done: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Goes back to where `save` was called."""
        restore_tensors(self.model.named_parameters(), self.optimizer, tensors)
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
        on_progress: told about every ten seconds, and at the end; `None` prints.

    Returns:
        What was measured: `steps`, `tokens`, `seconds`, `loss`, `copy_loss`, `demonstration_loss` (over about the
        last 5 % of the steps, nats per token under the loss), `parameters`, `settings`, `identity`.

    Raises:
        BadInputError: the data do not fit the model, or `out` holds another run.
        TrainingFailedError: the loss is not a finite number.
    """
    say = on_progress or _say
    config = _config(model_dir)
    samples = load_samples(data, vocabulary=config.vocab_size, longest=config.max_position_embeddings)
    files = [*sorted(data.glob("*.npy")), model_dir / "config.json"]
    identity = content_hash([asdict(settings), [file_hash(path) for path in files]])
    if (out / _FINISHED).is_file():
        finished: dict[str, Any] = orjson.loads((out / _FINISHED).read_bytes())
        _same_run(finished["identity"], identity, out)
        return finished
    run = Pretraining(samples, config, settings)
    if checkpoint := load_checkpoint(out / "checkpoints"):
        _same_run(checkpoint[2]["identity"], identity, out)
        run.restore(*checkpoint)
        say(_progress(run, LossSums(), f"resumed at step {run.steps_done}"))
    last = _train(run, out / "checkpoints", identity, checkpoint_every_s, say)
    return _finish(run, last, model_dir, out, identity)


def _train(run: Pretraining, checkpoints: Path, identity: str, checkpoint_every_s: float, say: OnProgress) -> LossSums:
    """Runs the steps that are left; gives the losses since about the last 5 % of them."""
    steps, before = len(run.batches), run.seconds
    started = said = saved = time.monotonic()
    said_tokens, sums, last = run.tokens_done, LossSums(), LossSums()
    with Replicas(run.model, run.settings.workers) as replicas:
        while run.steps_done < steps:
            sums += run.step(replicas)
            now = time.monotonic()
            run.seconds = before + now - started
            if now - said >= _SAID_EVERY_S or run.steps_done == steps:
                say(_progress(run, sums, _speed(run, (run.tokens_done - said_tokens) / (now - said))))
                if run.steps_done > 0.95 * steps:
                    last += sums
                said, said_tokens, sums = now, run.tokens_done, LossSums()
            if now - saved >= checkpoint_every_s:
                run.save(checkpoints, identity)
                saved = time.monotonic()
    return last


def _finish(run: Pretraining, last: LossSums, model_dir: Path, out: Path, identity: str) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    run.model.config.use_cache = True
    run.model.save_pretrained(out)
    for path in model_dir.iterdir():
        # The tokenizer's files as they are: written from a loaded tokenizer, their bytes and hashes could differ.
        if path.is_file() and path.suffix != ".safetensors" and path.name not in (_FINISHED, "config.json"):
            shutil.copyfile(path, out / path.name)
    measured = {
        "steps": run.steps_done,
        "tokens": run.tokens_done,
        "seconds": round(run.seconds, 1),
        "loss": last.mean(DEMONSTRATION, COPY),
        "copy_loss": last.mean(COPY),
        "demonstration_loss": last.mean(DEMONSTRATION),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "settings": asdict(run.settings),
        "identity": identity,
    }
    replace_durably(out / _FINISHED, orjson.dumps(measured, option=orjson.OPT_INDENT_2))
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


def _same_run(found: str, wanted: str, out: Path) -> None:
    if found != wanted:
        raise BadInputError(f"{out} holds a run with other data, model shape or settings; remove it or choose another")


def _speed(run: Pretraining, tokens_per_s: float) -> str:
    left_s = max(0, run.settings.tokens - run.tokens_done) / tokens_per_s
    return f"step {run.steps_done} of {len(run.batches)}, {tokens_per_s:,.0f} tokens/s, {left_s / 60:.1f} min left"


def _progress(run: Pretraining, sums: LossSums, message: str) -> Progress:
    kinds = {"demonstrations": sums.mean(DEMONSTRATION), "copies": sums.mean(COPY)}
    told = [f"{name} {loss:.3f}" for name, loss in kinds.items() if loss is not None]
    return Progress(
        phase="pretrain",
        done=run.tokens_done,
        total=run.settings.tokens,
        loss=sums.mean(DEMONSTRATION, COPY),
        message=", ".join([*told, message]),
    )


def _say(progress: Progress) -> None:
    loss = "" if progress.loss is None else f", loss {progress.loss:.3f}"
    print(f"{progress.done:,} of {progress.total:,} tokens{loss}, {progress.message}", flush=True)


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
