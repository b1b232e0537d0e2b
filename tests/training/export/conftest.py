"""Tiny random models of the shapes that are exported, and adapters trained on nothing but noise."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>\n{% endgeneration %}"
    "{% else %}{{ message.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = (
    "What date is 45 days after 2024-03-05?",
    "Don't I'LL we've  two   spaces\n\n\n\tand 12345 3.50",
    "naïve café, 東京 №5 ½ ²³ 😀 Ünïcödé",
    "<|im_start|>user\nhi<|im_end|>",
)

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": False},
    "llama3": {
        "attention_bias": True,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "qwen2": {"tie_word_embeddings": True},
    # 128, as every Qwen3 has: transformers' reader of GGUF takes it for granted.
    "qwen3": {"head_dim": 128, "tie_word_embeddings": True},
}


def make_model(folder: Path, shape: str, **settings: Any) -> Path:
    """A model of two layers with grouped heads, random weights, and a tokenizer that splits text as Qwen's does."""
    import torch
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    llama3 = shape == "llama3"
    split = PRETOKENIZE_REGEX.replace(r"|\p{N}|", r"|\p{N}{1,3}|") if llama3 else PRETOKENIZE_REGEX
    tokenizer = Tokenizer(models.BPE(ignore_merges=llama3))
    tokenizer.normalizer = None if llama3 else normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=list(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([*TEXTS, "what days are two spaces after I'll"], trainer)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        bos_token="<|endoftext|>" if llama3 else None,
    )
    fast.chat_template = CHATML
    fast.save_pretrained(folder)
    config = AutoConfig.for_model(
        "llama" if llama3 else shape,
        **{
            # Rows of embeddings to spare, as many models have.
            "vocab_size": len(fast) + 5,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "initializer_range": 0.3,
            "eos_token_id": fast.eos_token_id,
            "pad_token_id": fast.pad_token_id,
            "bos_token_id": fast.bos_token_id,
            **SHAPES.get(shape, {}),
            **settings,
        },
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith(("bias", "norm.weight")):  # ones and zeros would hide that they were mixed up
                torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    model.to(config.dtype or torch.float32).save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path | str, **settings: Any) -> Path:
    """A LoRA adapter of rank 4 on every linear layer of a base, with random weights in both of its matrices."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from langgraph_ratchet.chat_models.base import base_path

    model = AutoModelForCausalLM.from_pretrained(base_path(str(base)), dtype="auto")
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT 0.21 reads a property that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
        torch.manual_seed(1)
        peft_model = get_peft_model(model, config)
        for name, parameter in peft_model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    peft_model.save_pretrained(folder, save_embedding_layers=False)
    for path in folder.iterdir():
        if path.suffix not in (".safetensors", ".json"):
            path.unlink()
    return folder


@pytest.fixture(scope="session", name="make_model")
def make_model_fixture() -> Callable[..., Path]:
    """`make_model`."""
    return make_model


@pytest.fixture(scope="session", name="make_adapter")
def make_adapter_fixture() -> Callable[..., Path]:
    """`make_adapter`."""
    return make_adapter


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny model by the name of its shape, made once."""
    made: dict[str, Path] = {}

    def model(shape: str) -> Path:
        if shape not in made:
            made[shape] = make_model(tmp_path_factory.mktemp(shape), shape)
        return made[shape]

    return model


@pytest.fixture(scope="session")
def adapter_of(model_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """An adapter for a model by the name of its shape, or for `pocket`, made once."""
    made: dict[str, Path] = {}

    def adapter(shape: str) -> Path:
        if shape not in made:
            base = shape if shape == "pocket" else model_of(shape)
            made[shape] = make_adapter(tmp_path_factory.mktemp(f"{shape}_adapter"), base)
        return made[shape]

    return adapter


@pytest.fixture(scope="session")
def logits() -> Callable[..., Any]:
    """Logits of a model, (3, 40, vocabulary), on the same ids each time."""
    import torch

    def run(model: Any) -> Any:
        ids = torch.randint(0, model.config.vocab_size, (3, 40), generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            return model.eval()(ids).logits

    return run


@pytest.fixture(scope="session")
def reference(model_of: Callable[[str], Path], adapter_of: Callable[[str], Path]) -> Callable[..., Any]:
    """Base and adapter as plain transformers and PEFT run them, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from langgraph_ratchet.chat_models.base import POCKET

    def load(shape: str, *, adapted: bool = True) -> Any:
        path = POCKET if shape == "pocket" else model_of(shape)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        if not adapted:
            return model
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            return PeftModel.from_pretrained(model, adapter_of(shape))

    return load


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry."""
    return Registry(tmp_path / "registry")


@pytest.fixture
def version_of(registry: Registry, model_of: Callable[[str], Path], adapter_of: Callable[[str], Path]) -> Any:
    """Adds the adapter of a shape to the registry and gives its version."""
    from transformers import AutoTokenizer

    from langgraph_ratchet.chat_models.base import fingerprint_of

    def add(shape: str, *, parent: str | None = None, dataset: str = "d" * 64) -> ModelVersion:
        path = model_of(shape)
        return registry.add(
            adapter_of(shape),
            base=f"local:{path}",
            parent=parent,
            dataset_hash=dataset,
            trace_ids=[],
            fingerprint=fingerprint_of(path, AutoTokenizer.from_pretrained(path)),
            training=None,
            arguments={},
        )

    return add
