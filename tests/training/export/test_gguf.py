"""GGUF: transformers' own reader gives back the weights, the logits, the tokenizer and the chat template."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from langgraph_ratchet.chat_models.base import POCKET
from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, UnknownNameError
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.training.export import export_model
from langgraph_ratchet.training.export.gguf_model import in_pairs, llama3_factors
from langgraph_ratchet.training.export.gguf_vocabulary import plain_template, read_vocabulary

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 12 + 30?"},
    {"role": "assistant", "content": "42"},
    {"role": "user", "content": "And minus 2?"},
]


def field(path: Path, name: str) -> Any:
    """A value of a GGUF file's metadata."""
    return GGUFReader(path).fields[name].contents()


def read_back(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)


@pytest.mark.parametrize("adapted", [True, False])
@pytest.mark.parametrize("shape", [pytest.param("pocket", marks=pytest.mark.slow), "llama", "qwen2", "qwen3"])
def test_logits_read_back_equal_those_of_base_and_adapter(
    shape: str,
    adapted: bool,
    tmp_path: Path,
    registry: Registry,
    model_of: Callable[[str], Path],
    adapter_of: Callable[[str], Path],
    reference: Callable[..., Any],
    logits: Callable[..., Any],
) -> None:
    base = "pocket" if shape == "pocket" else str(model_of(shape))
    name = str(adapter_of(shape)) if adapted else None
    record = export_model(name, tmp_path / "out", format="gguf", registry=registry, base=base)
    assert record.dtype == "float32"
    assert (logits(read_back(tmp_path / "out")) - logits(reference(shape, adapted=adapted))).abs().max() <= 1e-4


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2e-3), ("bfloat16", 2e-2), ("q8_0", 2e-2)])
def test_each_dtype_rounds_matrices_and_leaves_vectors(
    dtype: str, error: float, tmp_path: Path, registry: Registry, reference: Callable[..., Any]
) -> None:
    export_model(None, tmp_path / "out", format="gguf", registry=registry, base="pocket", dtype=dtype)
    expected = reference("pocket", adapted=False).state_dict()
    for name, found in read_back(tmp_path / "out").state_dict().items():
        difference = (found - expected[name]).abs().max() / expected[name].abs().max()
        assert difference <= (error if found.dim() > 1 else 0.0), name
    assert (tmp_path / "out" / "model.gguf").stat().st_size < (0.6 if dtype != "q8_0" else 0.35) * 4 * 2_000_000


def test_the_tokenizer_reads_back(tmp_path: Path, registry: Registry, model_of: Callable[[str], Path]) -> None:
    export_model(None, tmp_path / "out", format="gguf", registry=registry, base=str(model_of("qwen3")))
    original = AutoTokenizer.from_pretrained(model_of("qwen3"))
    found = AutoTokenizer.from_pretrained(tmp_path / "out", gguf_file="model.gguf")
    for text in ("Don't count 12345\n\n  two  spaces", "naïve café 東京 😀", "<|im_start|>user\n<think>x<|im_end|>"):
        assert found(text).input_ids == original(text).input_ids
    assert (found.eos_token, found.pad_token, found.bos_token) == (original.eos_token, original.pad_token, None)
    chats = [t.apply_chat_template(CHAT, add_generation_prompt=True)["input_ids"] for t in (original, found)]
    assert chats[0] == chats[1]


def test_the_pocket_model_s_tokenizer_is_told_as_it_is(tmp_path: Path, registry: Registry) -> None:
    export_model(None, tmp_path / "out", format="gguf", registry=registry, base="pocket")
    path, tokenizer = tmp_path / "out" / "model.gguf", AutoTokenizer.from_pretrained(POCKET)
    tokens = field(path, "tokenizer.ggml.tokens")
    assert tokens == tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert field(path, "tokenizer.ggml.token_type") == [3] * 8 + [1] * (len(tokens) - 8)
    assert field(path, "tokenizer.ggml.pre") == "smollm"
    assert field(path, "tokenizer.ggml.add_bos_token") is False
    assert field(path, "tokenizer.ggml.eos_token_id") == tokenizer.eos_token_id
    assert "tokenizer.ggml.bos_token_id" not in GGUFReader(path).fields


def test_rows_that_the_tokenizer_does_not_use_and_plain_added_tokens(model_of: Callable[[str], Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_of("qwen2"))
    size = len(tokenizer)
    vocabulary = read_vocabulary(tokenizer, size + 2)
    assert vocabulary.tokens[-2:] == [f"[PAD{size}]", f"[PAD{size + 1}]"]
    assert vocabulary.types[-2:] == [5, 5]
    assert vocabulary.types[tokenizer.convert_tokens_to_ids("<think>")] == 4
    with pytest.raises(BadInputError, match=f"has the id {size - 1}, the model only {size - 1} embeddings"):
        read_vocabulary(tokenizer, size - 1)


@pytest.mark.parametrize("shape", ["qwen2", "llama3"])
def test_the_rule_that_splits_text(shape: str, model_of: Callable[[str], Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_of(shape))
    assert read_vocabulary(tokenizer, len(tokenizer)).split == {"qwen2": "qwen2", "llama3": "llama-bpe"}[shape]


def test_a_rule_that_llama_cpp_has_not_is_refused(model_of: Callable[[str], Path]) -> None:
    from tokenizers import pre_tokenizers

    tokenizer = AutoTokenizer.from_pretrained(model_of("qwen2"))
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    with pytest.raises(BadInputError, match=r"no rule that splits text as this tokenizer does .*Whitespace"):
        read_vocabulary(tokenizer, len(tokenizer))


def test_the_template_says_the_same_without_transformers_marks() -> None:
    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    plain = plain_template(tokenizer.chat_template)
    assert plain is not None
    rendered = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(plain)
    expected = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert rendered.render(messages=CHAT, add_generation_prompt=True) == expected


def test_rotating_neighbours_after_reordering_is_rotating_halves() -> None:
    heads, size = 3, 8
    weight = torch.randn(heads * size, 5)
    angles = torch.rand(size // 2)

    def turned(even: Any, odd: Any) -> tuple[Any, Any]:
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        return even * cos - odd * sin, odd * cos + even * sin

    halves = weight.view(heads, 2, size // 2, 5)
    in_halves = torch.stack(turned(halves[:, 0], halves[:, 1]), dim=1).reshape(weight.shape)
    pairs = in_pairs(weight, heads).view(heads, size // 2, 2, 5)
    in_neighbours = torch.stack(turned(pairs[:, :, 0], pairs[:, :, 1]), dim=2).reshape(weight.shape)
    assert torch.allclose(in_neighbours, in_pairs(in_halves, heads))


def test_llama_3_s_frequencies(model_of: Callable[[str], Path]) -> None:
    config = LlamaConfig.from_pretrained(model_of("llama3"))
    plain = config.rope_parameters["rope_theta"] ** (-torch.arange(0, 16, 2) / 16)
    factors = llama3_factors(config)
    assert torch.allclose(plain / factors, LlamaRotaryEmbedding(config).inv_freq)
    assert factors.min() == 1.0
    assert factors.max() == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ("gemma2", {"head_dim": 16}, r"takes llama, qwen2, qwen3 models, .* is 'gemma2'"),
        ("llama", {"hidden_act": "gelu"}, "does not know the activation 'gelu'"),
        (
            "qwen2",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "rope of the type 'dynamic'",
        ),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8}, "sliding-window attention"),
    ],
)
def test_what_has_no_counterpart_is_refused_before_it_is_loaded(
    shape: str,
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
    registry: Registry,
    make_model: Callable[..., Path],
) -> None:
    base = make_model(tmp_path / "base", shape, **settings)
    with pytest.raises(BadInputError, match=message) as error:
        export_model(None, tmp_path / "out", format="gguf", registry=registry, base=str(base))
    assert "--format merged" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_tokenizer_of_words_is_refused(tmp_path: Path, registry: Registry, base_dir: Path) -> None:
    with pytest.raises(BadInputError, match="takes byte-level BPE tokenizers.* this one is WordLevel"):
        export_model(None, tmp_path / "out", format="gguf", registry=registry, base=str(base_dir))


def test_an_unknown_dtype(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="unknown dtype of a GGUF file 'q4_k'; known: float32, bfloat16, "):
        export_model(None, tmp_path / "out", format="gguf", registry=registry, base="pocket", dtype="q4_k")


def test_without_the_extra_it_is_named(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"'gguf': pip install 'langgraph-ratchet\[gguf\]'"):
        export_model(None, tmp_path / "out", format="gguf", registry=registry, base="pocket")
