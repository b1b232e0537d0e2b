"""Demonstrations of a few levels, and a small model's folder that is made from them as the pocket model's is."""

import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import langgraph_ratchet
from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.progress import silent
from langgraph_ratchet.synthesis.copying import copy_practice
from langgraph_ratchet.synthesis.corpus import as_exercise, texts
from langgraph_ratchet.synthesis.demonstrate import demonstrate
from langgraph_ratchet.synthesis.habits import Habit

SEED = 5
HABITS: Mapping[tuple[str, int], Habit] = {
    ("chain_sum", 1): Habit(expert_share=0.85, doubt=0.0, weight=3),
    ("chain_sum", 3): Habit(expert_share=0.3, doubt=0.5, weight=3),
    ("date_shift", 3): Habit(expert_share=0.5),
    ("weekday", 1): Habit(expert_share=0.5),
    ("fact_chain", 2): Habit(expert_share=0.5),
    ("entailment", 3): Habit(expert_share=0.5),
    ("grid_walk", 2): Habit(expert_share=0.5),
}


@pytest.fixture(scope="session")
def habits() -> Mapping[tuple[str, int], Habit]:
    return HABITS


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of `calls`."""
    return SEED


@pytest.fixture(scope="session")
def calls() -> list[Call]:
    """Every call of 140 demonstrations."""
    return list(demonstrate(HABITS, runs=140, seed=SEED, on_progress=silent))


@pytest.fixture(scope="session")
def runs(calls: list[Call]) -> list[list[Call]]:
    """The same, by run."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.key.run_id, []).append(call)
    return list(found.values())


@pytest.fixture(scope="session")
def tokenizer(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer made as the pocket model's is, with the pocket model's chat template."""
    from transformers import AutoTokenizer

    from langgraph_ratchet.training.tokenizer import make_model_folder

    folder = tmp_path_factory.mktemp("model")
    shutil.copy(Path(langgraph_ratchet.__file__).parent / "chat_models" / "pocket" / "chat_template.jinja", folder)
    shown = texts([*map(as_exercise, calls[:150]), *islice(copy_practice(seed=1), 50)])
    make_model_folder(folder, shown, vocab_size=500, hidden=16, layers=1, heads=2)
    return AutoTokenizer.from_pretrained(folder)
