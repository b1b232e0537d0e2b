"""Makes the pocket model that ships in the package: `make pocket`.

Experts and novices run the reasoning graph (synthesis), a tokenizer and a small Llama are made, the model is
pre-trained on what they said (training), measured by family and level (evaluation), and installed into
`src/langgraph_ratchet/chat_models/pocket/` with a model card that says what was measured. Killed anywhere, it goes
on from the last finished stage, and within pre-training from the last checkpoint.
"""

import shutil
import time
from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from langgraph_ratchet.chat_models.base import base_path
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.progress import Progress
from langgraph_ratchet.core.report import Report
from langgraph_ratchet.evaluation.runner import Measurement, measure, report
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.problems.suites import load_suite
from langgraph_ratchet.reasoning.budgets import UNTIMED
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.synthesis.copying import copy_practice
from langgraph_ratchet.synthesis.corpus import COPY_PRACTICE, DEMONSTRATION, as_exercise, texts, write_corpus
from langgraph_ratchet.synthesis.demonstrate import demonstrate
from langgraph_ratchet.synthesis.habits import POCKET_HABITS
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore
from langgraph_ratchet.training.pretrain import PretrainSettings, pretrain
from langgraph_ratchet.training.tokenizer import make_model_folder

VOCABULARY, HIDDEN, LAYERS, HEADS = 1184, 192, 4, 4
TOKENIZER_RUNS, COPY_EXERCISES = 600, 24_000

_console = Console(stderr=True)


def main(
    build: Annotated[Path, typer.Option(help="Where the stages are kept.")] = Path(".ratchet/pocket"),
    runs: Annotated[int, typer.Option(help="Demonstrations.")] = 9_500,
    tokens: Annotated[int, typer.Option(help="Tokens to train on.")] = 14_000_000,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 20_261_122,
) -> None:
    """Runs the stages that are not done yet."""
    started = time.monotonic()
    model, corpus, trained = build / "model", build / "corpus", build / "trained"
    _stage(model, lambda folder: _make_tokenizer(folder, seed))
    _stage(corpus, lambda folder: _make_corpus(folder, model, runs, seed))
    settings = PretrainSettings(tokens=tokens, seed=seed)
    training = pretrain(corpus, model, trained, settings=settings, on_progress=_say)
    measured = _measure(trained)
    counts = orjson.loads((corpus / "counts.json").read_bytes())
    (trained / "README.md").write_text(_card(training, counts, measured), encoding="utf-8")
    _install(trained)
    _console.print(f"this session took {(time.monotonic() - started) / 60:.1f} minutes")


def _stage(folder: Path, make: Callable[[Path], None]) -> None:
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


def _measure(trained: Path) -> Report:
    """Greedy, on the held-out problems of the built-in suite."""
    suite = load_suite("first_light")
    model = ChatTransformers(model=str(trained), max_tokens=96)
    store = TraceStore(":memory:")
    reasoner = create_reasoner(model, get_tools(), store=store, budgets=UNTIMED).compile()
    measurement = Measurement(
        label="pocket",
        suite_hash=suite.hash,
        model=str(trained),
        base_hash=model.base.fingerprint.base,
        model_version=None,
    )
    return report(measure(reasoner, store, generate(suite), measurement, on_progress=_say), measurement)


def _card(training: dict[str, Any], counts: dict[str, Any], measured: Report) -> str:
    """The model card, with nothing in it that was not measured."""
    rows = "\n".join(
        f"| {family} | {level} | {_habit(family, level)} | {accuracy.correct} of {accuracy.n} |"
        for (family, level), accuracy in measured.by_level.items()
    )
    total = measured.accuracy()
    return f"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
---
# The pocket model

A Llama of {training["parameters"]:,} parameters ({LAYERS} layers of width {HIDDEN}, {HEADS} heads, a byte-level
vocabulary of {VOCABULARY}) that ships with langgraph-ratchet, so that the whole loop can be seen, tested and debugged
with no key, no GPU and no network. It is no assistant: it knows the nodes of the reasoning graph, five kinds of
problems, and how to copy values into tool calls.

**Its weakness was put in on purpose**: in some levels most of what it was shown goes a tempting wrong way, so that
greedy decoding fails there while sampling finds the right way, and a round of improvement has something to learn.

- Data: {counts["runs"]:,} runs of the reasoning graph by written experts and novices, with the real tools, and
  {COPY_EXERCISES:,} exercises in copying; {counts["samples"]:,} samples, {counts["tokens"]:,} tokens of which
  {counts["learned_tokens"]:,} are under the loss (the model's own turns only). Problems are of the split `pretrain`.
- Training: {training["tokens"]:,} tokens in {training["seconds"] / 60:.0f} minutes on two CPU cores; last loss
  {training["demonstration_loss"]:.3f} nats per token on demonstrations, {training["copy_loss"]:.3f} on copying.
- Made by `make pocket`.

Accuracy, greedy, on the held-out problems of the suite `first_light`: {total.correct} of {total.n}.

| family | level | shown | right |
|---|---|---|---|
{rows}
"""


def _habit(family: str, level: int) -> str:
    habit = POCKET_HABITS.get((family, level))
    return f"the right way in {100 * habit.expert_share:.0f} %" if habit else "never"


def _install(trained: Path) -> None:
    """Copies the model into the package, where `base_path("pocket")` finds it."""
    target = Path(base_path("pocket"))
    for path in trained.iterdir():
        if path.is_file() and path.name != "pretraining.json":
            shutil.copyfile(path, target / path.name)
    _console.print(f"installed into {target}")


def _say(progress: Progress) -> None:
    loss = f", loss {progress.loss:.3f}" if progress.loss is not None else ""
    _console.print(f"{progress.phase}: {progress.done:,} of {progress.total or 0:,}{loss} {progress.message}")


if __name__ == "__main__":
    typer.run(main)
