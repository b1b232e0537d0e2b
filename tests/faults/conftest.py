"""A training job on a tiny random model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORDS = 64


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of one layer with random weights, its tokenizer and chat template."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=96,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    words = {"<pad>": 0, "<end>": 1, **{f"w{number}": number for number in range(2, WORDS)}}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")), pad_token="<pad>", eos_token="<end>"
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def practice_job(tiny_model: Path, tmp_path: Path) -> Callable[[Path], Any]:
    """A job of some seconds with a checkpoint after every step, that works in a given folder."""
    from langgraph_ratchet.chat_models.base import load_base
    from langgraph_ratchet.core.example import Dataset, Example
    from langgraph_ratchet.training.job import Job, Lora

    examples = tuple(
        Example(
            id=f"example_{number}",
            trace_id="trace",
            call_id=f"call_{number}",
            node="act",
            question_type="temporal",
            input_ids=(*range(2, 20 + number), 7),
            loss_mask=(*[0] * (18 + number), 1),
            weight=0.5,
            quality=None,
            verified=True,
            source="procedural",
        )
        for number in range(6)
    )
    dataset = tmp_path / "dataset.json"
    fingerprint = load_base(f"local:{tiny_model}").fingerprint
    dataset.write_text(Dataset(examples=examples, fingerprint=fingerprint, dropped=()).model_dump_json())

    def make(folder: Path) -> Job:
        return Job(
            base=f"local:{tiny_model}",
            dataset=dataset,
            out=folder / "adapter",
            lora=Lora(rank=4, alpha=8.0),
            epochs=40,
            batch_tokens=60,
            checkpoint_every_s=0,
        )

    return make
