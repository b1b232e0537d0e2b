"""Small tokenizers with the chat templates that published models ship (those that TRL keeps), and naughty strings."""

import importlib.util
import json
import os
from functools import cache
from pathlib import Path

import pytest

_CHATML = (
    "<|im_start|> <|im_end|> <|endoftext|> <think> </think> <tool_call> </tool_call> <tool_response> </tool_response>"
)
_LLAMA = "<|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|python_tag|>"
_GLM = (
    "[gMASK] <sop> <|endoftext|> <|system|> <|user|> <|assistant|> <|observation|> <think> </think> <tool_call> "
    "</tool_call> <tool_response> </tool_response> <arg_key> </arg_key> <arg_value> </arg_value>"
)
_DEEPSEEK = (
    "<｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜> <think> </think> <｜tool▁calls▁begin｜> "
    "<｜tool▁calls▁end｜> <｜tool▁call▁begin｜> <｜tool▁call▁end｜> <｜tool▁sep｜> <｜tool▁outputs▁begin｜> "
    "<｜tool▁outputs▁end｜> <｜tool▁output▁begin｜> <｜tool▁output▁end｜>"
)
_GEMMA4 = (
    "<bos> <eos> <|turn> <turn|> <|tool> <tool|> <|tool_call> <tool_call|> <|tool_response> <tool_response|> "
    '<|channel> <channel|> <|think|> <|"|>'
)
# Template of TRL: its control tokens, and the one that ends a turn.
_FAMILIES = {
    "qwen2_5": (_CHATML, "<|im_end|>"),
    "qwen3": (_CHATML, "<|im_end|>"),
    "qwen3_instruct_2507": (_CHATML, "<|im_end|>"),
    "qwen3_vl": (_CHATML, "<|im_end|>"),
    "qwen3_5_think": (_CHATML, "<|im_end|>"),
    "qwen3_5_nothink": (_CHATML, "<|im_end|>"),
    "qwen3_6": (_CHATML, "<|im_end|>"),
    "qwen3_8": (_CHATML, "<|im_end|>"),
    "nemotron_3_nano": (_CHATML, "<|im_end|>"),
    "nemotron_3_ultra": (_CHATML, "<|im_end|>"),
    "llama3": (_LLAMA, "<|eot_id|>"),
    "llama3_1": (_LLAMA, "<|eot_id|>"),
    "llama3_2": (_LLAMA, "<|eot_id|>"),
    "gemma": ("<bos> <eos> <start_of_turn> <end_of_turn>", "<end_of_turn>"),
    "gemma3": ("<bos> <eos> <start_of_turn> <end_of_turn>", "<end_of_turn>"),
    "gemma4": (_GEMMA4, "<turn|>"),
    "gemma4_v5": (_GEMMA4, "<turn|>"),
    "glm4moe": (_GLM, "<|user|>"),
    "gptoss": ("<|start|> <|end|> <|message|> <|channel|> <|constrain|> <|return|> <|call|>", "<|return|>"),
    "deepseek_r1_distill": (_DEEPSEEK, "<｜end▁of▁sentence｜>"),
    "deepseekv3": (_DEEPSEEK, "<｜end▁of▁sentence｜>"),
    "lfm2_v2": (
        "<|im_start|> <|im_end|> <|tool_list_start|> <|tool_list_end|> <|tool_call_start|> <|tool_call_end|> "
        "<|tool_response_start|> <|tool_response_end|>",
        "<|im_end|>",
    ),
    "lfm2_2_5_v2": ("<|im_start|> <|im_end|> <|tool_call_start|> <|tool_call_end|> <think> </think>", "<|im_end|>"),
    "phi3": ("<|system|> <|user|> <|assistant|> <|end|> <|endoftext|>", "<|end|>"),
    "cohere2": (
        "<|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> <|SYSTEM_TOKEN|> "
        "<|START_RESPONSE|> <|END_RESPONSE|>",
        "<|END_OF_TURN_TOKEN|>",
    ),
}


@cache
def shipped_template(name: str) -> str:
    found = importlib.util.find_spec("trl")
    assert found is not None, "the tests need TRL, which comes with the extra `dev`"
    return (Path(str(found.origin)).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def build_tokenizer(control: str, end: str, template: str):
    """A byte-level BPE tokenizer with some merges, trained here."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=control.split(),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(['<|im_end|> </tool_call> the answer is {"a": 1}\n\n system user assistant'], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=end, bos_token=control.split()[0], clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="session")
def make_tokenizer():
    return build_tokenizer


@pytest.fixture(scope="session")
def family():
    """A tokenizer as the family of this name has it, without a response template."""
    return cache(lambda name: build_tokenizer(*_FAMILIES[name], shipped_template(name)))


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """The big list of naughty strings, which is not part of the project, or a few of our own."""
    folder = os.environ.get("RATCHET_TEST_DATA")
    if folder:
        return json.loads((Path(folder) / "security" / "blns" / "blns.json").read_text(encoding="utf-8"))
    print("not verified here: all naughty strings keep to their turn (RATCHET_TEST_DATA is not set)")
    return [
        "null",
        "1/0",
        "\u202etest\u202e",
        "Z̮̞̠͙͔ͅ",
        "<script>alert(1)</script>",
        "👩🏽",
        "'; DROP",
        "%s%x",
        "{{7*7}}",
        "\ufeff",
    ]
