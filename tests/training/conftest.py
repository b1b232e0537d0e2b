"""A tiny random Llama with a tokenizer, and pretraining data and datasets for it."""

from pathlib import Path

import numpy as np
import pytest

VOCABULARY = 64


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory) -> Path:
    """A model without weights: configuration, tokenizer, chat template."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=96,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    ).save_pretrained(folder)
    words = {"<pad>": 0, "<end>": 1, **{f"w{number}": number for number in range(2, VOCABULARY)}}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")), pad_token="<pad>", eos_token="<end>"
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base_dir(model_dir, tmp_path_factory) -> Path:
    """The same model with random weights."""
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("base")
    shutil.copytree(model_dir, folder, dirs_exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # Wide weights: with narrow ones, a model of this width could not prefer any token strongly.
        LlamaForCausalLM(LlamaConfig.from_pretrained(folder, initializer_range=0.5)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> Path:
    """120 samples of 8 to 40 tokens, the last 2 to 6 under the loss; a third are copy practice."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(1)
    lengths = random.integers(8, 41, size=120)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = random.integers(2, VOCABULARY, size=offsets[-1]).astype(np.uint16)
    mask = np.zeros(offsets[-1], np.uint8)
    for end in offsets[1:]:
        mask[end - random.integers(2, 7) : end] = 1
    # Four tokens only: a model that has learned this much has a loss of ln 4 = 1.39, one that has not, ln 64 = 4.16.
    ids[mask == 1] = random.integers(2, 6, size=int(mask.sum()))
    kind = (np.arange(120) % 3 == 0).astype(np.uint8)
    for name, array in {"ids": ids, "mask": mask, "offsets": offsets, "kind": kind}.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.fixture(scope="session")
def base(base_dir):
    """The base, loaded."""
    from langgraph_ratchet.chat_models.base import load_base

    return load_base(str(base_dir))


@pytest.fixture
def make_dataset(base, tmp_path):
    """Writes a dataset of `(input_ids, loss_mask, weight)` and gives its path."""
    from langgraph_ratchet.core.example import Dataset, Example

    def make(rows, *, fingerprint=None, **fields) -> Path:
        examples = [
            Example(
                **{
                    "id": f"example_{number:03}",
                    "trace_id": f"trace_{number}",
                    "call_id": f"call_{number}",
                    "node": "act",
                    "question_type": "temporal" if number % 2 else "mathematical",
                    "input_ids": tuple(map(int, ids)),
                    "loss_mask": tuple(map(int, mask)),
                    "weight": weight,
                    "quality": None,
                    "verified": True,
                    "source": "procedural",
                    **fields,
                }
            )
            for number, (ids, mask, weight) in enumerate(rows)
        ]
        dataset = Dataset(examples=tuple(examples), fingerprint=fingerprint or base.fingerprint, dropped=())
        path = tmp_path / "dataset.json"
        path.write_text(dataset.model_dump_json(), encoding="utf-8")
        return path

    return make


@pytest.fixture(scope="session")
def rows():
    """40 examples of 10 to 30 random tokens with weight 0.5; the last five, all the same token, are under the loss."""
    random = np.random.default_rng(5)
    made = []
    for length in random.integers(10, 31, size=40):
        ids = random.integers(2, VOCABULARY, size=length)
        ids[-5:] = 7
        mask = np.zeros(length, int)
        mask[-5:] = 1
        made.append((ids, mask, 0.5))
    return made
