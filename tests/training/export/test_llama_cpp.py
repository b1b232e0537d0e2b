"""llama.cpp itself, where `llama-cpp-python` is installed: equal tokens, equal logits, equal greedy replies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from langgraph_ratchet.registry import Registry
from langgraph_ratchet.training.export import export_model

llama_cpp = pytest.importorskip(
    "llama_cpp", reason="not verified here: llama.cpp reads the GGUF file (llama-cpp-python is not installed)"
)

pytestmark = pytest.mark.slow

QUESTIONS = (
    "What date is 45 days after 2024-03-05?",
    "a  1 12 3.50 Don't I'LL we've",
    "naïve café – 東京 №5 ½ ²³ 😀👨‍👩‍👧 Ünïcödé ١٢٣ Ⅷ",
    "<|im_start|>user\n<think>\n\n\n\t\n 7   ",
)
_F32 = 0


@pytest.mark.parametrize("shape", ["pocket", "llama", "llama3", "qwen2", "qwen3"])
def test_llama_cpp_says_what_transformers_says(
    shape: str, tmp_path: Path, registry: Registry, model_of: Callable[[str], Path], adapter_of: Callable[[str], Path]
) -> None:
    base = "pocket" if shape == "pocket" else str(model_of(shape))
    for format in ("merged", "gguf"):
        export_model(str(adapter_of(shape)), tmp_path / format, format=format, registry=registry, base=base)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    other = llama_cpp.Llama(
        str(tmp_path / "gguf" / "model.gguf"), n_ctx=128, logits_all=True, type_k=_F32, type_v=_F32, verbose=False
    )
    for question in QUESTIONS:
        assert other.tokenize(question.encode(), special=True) == tokenizer(question).input_ids
        chat = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([prompt])).logits[0]
        other.reset()
        other.eval(prompt)
        assert abs(torch.from_numpy(other.scores[: len(prompt)]) - logits).max() <= 1e-3
        assert greedy(other, prompt) == generated(model, prompt)


def greedy(model: Any, prompt: list[int]) -> list[int]:
    tokens = model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0)
    return [token for token, _ in zip(tokens, range(24), strict=False)]


def generated(model: Any, prompt: list[int]) -> list[int]:
    ids = torch.tensor([prompt])
    with torch.no_grad():
        for _ in range(24):
            ids = torch.cat([ids, model(ids).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    return list(map(int, ids[0, len(prompt) :]))
