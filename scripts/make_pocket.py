"""Makes the pocket model that ships in the package: `make pocket`.

Experts and novices run the reasoning graph (synthesis), a tokenizer and a small Llama are made, the model is
pre-trained on what they said (training), measured by family and level (evaluation), and installed into
`src/langgraph_ratchet/chat_models/pocket/` with a model card that says what was measured. Killed anywhere, it goes
on from the last finished stage, and within pre-training from the last checkpoint.
"""

import shutil
import time
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from langgraph_ratchet.chat_models.base import base_path
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.synthesis.copying import copy_practice
from langgraph_ratchet.synthesis.corpus import COPY_PRACTICE, DEMONSTRATION, as_exercise, texts, write_corpus
from langgraph_ratchet.synthesis.demonstrate import demonstrate
from langgraph_ratchet.synthesis.habits import POCKET_HABITS
from langgraph_ratchet.training.pretrain import pretrain
from langgraph_ratchet.training.tokenizer import make_model_folder

VOCABULARY, HIDDEN, LAYERS, HEADS = 1024, 192, 4, 4
TOKENIZER_RUNS, COPY_EXERCISES = 400, 24_000

_console = Console(stderr=True)


def main(
    build: Annotated[Path, typer.Option(help="Where the stages are kept.")] = Path(".ratchet/pocket"),
    runs: Annotated[int, typer.Option(help="Demonstrations.")] = 6_000,
    tokens: Annotated[int, typer.Option(help="Tokens to train on.")] = 10_000_000,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 20_261_122,
) -> None:
    """Runs the stages that are not done yet."""
    started = time.monotonic()
    model, corpus, trained = build / "model", build / "corpus", build / "trained"
    _stage(model, lambda folder: _make_tokenizer(folder, seed))
    _stage(corpus, lambda folder: _make_corpus(folder, model, runs, seed))
    pretrain(corpus, model, trained, tokens=tokens, seed=seed, on_progress=_say)
    _console.print(f"trained in this session: {(time.monotonic() - started) / 60:.1f} minutes")


def _stage(folder: Path, make: "typer.Any") -> None:
    """Makes `folder` under another name and renames it when it is whole."""
    if folder.exists():
        _console.print(f"{folder} is there")
        return
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    make(partial)
    partial.rename(folder)


def _make_tokenizer(folder: Path, seed: int) -> None:
    shutil.copy(Path(base_path("pocket")) / "chat_template.jinja", folder)
    calls = demonstrate(POCKET_HABITS, runs=TOKENIZER_RUNS, seed=seed, on_progress=_say)
    shown = texts(chain((as_exercise(call) for call in calls), islice(copy_practice(seed=seed), TOKENIZER_RUNS)))
    size = make_model_folder(folder, shown, vocab_size=VOCABULARY, hidden=HIDDEN, layers=LAYERS, heads=HEADS)
    _console.print(f"{size:,} parameters")


def _make_corpus(folder: Path, model: Path, runs: int, seed: int) -> None:
    from transformers import AutoTokenizer

    calls = demonstrate(POCKET_HABITS, runs=runs, seed=seed, on_progress=_say)
    parts = [
        (DEMONSTRATION, map(as_exercise, calls)),
        (COPY_PRACTICE, islice(copy_practice(seed=seed), COPY_EXERCISES)),
    ]
    counts = write_corpus(folder, AutoTokenizer.from_pretrained(model), parts)
    (folder / "counts.json").write_bytes(orjson.dumps({**counts, "runs": runs}))
    _console.print(counts)


def _say(progress: Progress) -> None:
    loss = f", loss {progress.loss:.3f}" if progress.loss is not None else ""
    _console.print(f"{progress.phase}: {progress.done:,} of {progress.total or 0:,}{loss} {progress.message}")


if __name__ == "__main__":
    typer.run(main)
