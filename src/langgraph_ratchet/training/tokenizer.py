"""Trains the pocket model's tokenizer and lays out its folder: tokenizer, chat template, response template, config."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

SPECIAL_TOKENS = (
    *("<|pad|>", "<|end|>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"),
    *("<tool_call>", "</tool_call>"),
)

# Read by transformers' `tokenizer.parse_response`: what the chat template writes, the other way round.
RESPONSE_TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "tool_calls": {
            "open_pattern": r"<tool_call>(?P<name>\S+) ",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
        },
        "content": {"close": "<|end|>", "content": "text"},
    },
}

MAX_POSITIONS = 2048


def make_model_folder(
    folder: Path, texts: Iterable[str], *, vocab_size: int, hidden: int, layers: int, heads: int
) -> int:
    """Writes everything of a small Llama but its weights into `folder`, which holds `chat_template.jinja`.

    The tokenizer is a byte-level BPE, so no text is unknown to it. Every digit is a token of its own: numbers are
    copied digit by digit, and a merged one would hide its digits.

    Args:
        folder: the model's folder.
        texts: what the merges are learned from.
        vocab_size: tokens in all, special ones included.
        hidden: width of the residual stream.
        layers: decoder layers.
        heads: attention heads, each with its own keys and values.

    Returns:
        The number of parameters that a model of this shape has.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        extra_special_tokens=list(SPECIAL_TOKENS[2:]),
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    fast.response_template = RESPONSE_TEMPLATE
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        # A small base: prompts are short, and low frequencies that never turn teach nothing.
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        pad_token_id=fast.pad_token_id,
        eos_token_id=fast.eos_token_id,
        bos_token_id=None,
    )
    config.save_pretrained(folder)
    return sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(config).parameters())
