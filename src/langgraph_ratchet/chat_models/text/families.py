"""Response templates for model families whose tokenizers ship none, recognised by their chat template.

A response template says how a reply is read: where thoughts, tool calls and the answer begin and end
(`transformers.utils.chat_parsing`). To add a family, add a `Family`, and a test that a tool call rendered by its chat
template is read back.
"""

from dataclasses import dataclass
from typing import Any

_THOUGHTS = {"open": "<think>", "close": "</think>", "content": "text"}
_NAME_AND_CONTENT = {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}}
_WHOLE_CALL = {"type": "function", "function": "{content}"}
_TAGGED_JSON = {
    "open_pattern": r"\s*<tool_call>",
    "close": "</tool_call>",
    "repeats": True,
    "content": "json",
    "transform": _WHOLE_CALL,
}
_TAGGED_PARAMETERS = {
    "open_pattern": r"\s*<tool_call>\s*<function=(?P<name>[^>\n]+)>",
    "close_pattern": r"(?:</function>\s*)?</tool_call>",
    "repeats": True,
    "content": "xml-inline",
    "content_args": {"tag_pattern": r"<parameter=(?P<key>[^>\n]+)>\n?(?P<value>.*?)\n?</parameter>"},
    "transform": _NAME_AND_CONTENT,
}
_CHATML_END = r"\s*(?:<\|im_end\|>|<\|endoftext\|>)"


def _template(start: str | list[str], end: str, **fields: Any) -> dict[str, Any]:
    """A response template.

    Args:
        start: what the chat template writes before a reply.
        end: pattern of what ends the reply.
        fields: parts of the reply other than its content.
    """
    content = {"close_pattern": end, "content": "text"}
    return {"defaults": {"role": "assistant"}, "start_anchor": start, "fields": {**fields, "content": content}}


@dataclass(frozen=True)
class Family:
    """Models whose replies have one form."""

    name: str
    holds: tuple[str, ...]
    """What stands in the chat template of each of them, and not in those of families that come later."""
    response_template: dict[str, Any]


FAMILIES = (
    Family(
        "GPT-OSS (harmony)",
        ("<|start|>assistant", "<|channel|>analysis<|message|>"),
        _template(
            "<|start|>assistant",
            # Answer and preambles have channels of their own; what opens and ends them is no part of the answer.
            r"<\|channel\|>(?:final|commentary)(?: <\|constrain\|>\w+)?<\|message\|>|<\|start\|>assistant"
            r"|<\|end\|>|<\|return\|>|<\|call\|>",
            reasoning_content={"open": "<|channel|>analysis<|message|>", "close": "<|end|>", "content": "text"},
            tool_calls={
                # The recipient stands before the channel in what the template renders, after it in what models write.
                "open_pattern": r"(?:\s*to=functions\.(?P<name>[^\s<]+)\s*<\|channel\|>(?:commentary|analysis)"
                r"|<\|channel\|>(?:commentary|analysis) to=functions\.(?P<name>[^\s<]+))"
                r"\s*(?:<\|constrain\|>)?(?:json)?<\|message\|>",
                "close": "<|call|>",
                "repeats": True,
                "content": "json",
                "transform": _NAME_AND_CONTENT,
            },
        ),
    ),
    Family(
        "Gemma 4",
        ("<|tool_call>call:", "<|turn>model"),
        _template(
            ["<|turn>model\n", "<tool_response|>"],
            r"<turn\|>|<\|tool_response>|<eos>",
            reasoning_content={"open": "<|channel>thought\n", "close": "<channel|>", "content": "text"},
            tool_calls={
                "open_pattern": r"<\|tool_call>call:(?P<name>[^\s{]+)",
                "close": "<tool_call|>",
                "repeats": True,
                "content": "json",
                "content_args": {"unquoted_keys": True, "string_delims": [['<|"|>', '<|"|>']]},
                "transform": _NAME_AND_CONTENT,
            },
        ),
    ),
    Family(
        "GLM 4.5 and later",
        ("<arg_key>", "<arg_value>", "<|assistant|>"),
        _template(
            "<|assistant|>",
            r"\s*(?:<\|user\|>|<\|observation\|>|<\|endoftext\|>)",
            reasoning_content=_THOUGHTS,
            tool_calls={
                "open_pattern": r"\s*<tool_call>(?P<name>[^\s<]+)",
                "close": "</tool_call>",
                "repeats": True,
                "content": "xml-inline",
                "content_args": {
                    "tag_pattern": r"<arg_key>(?P<key>.*?)</arg_key>\s*<arg_value>(?P<value>.*?)</arg_value>"
                },
                "transform": _NAME_AND_CONTENT,
            },
        ),
    ),
    Family(
        "Qwen3-Coder, Qwen 3.5 and later, Nemotron 3",
        ("<function=", "<parameter=", "<|im_start|>assistant"),
        _template("<|im_start|>assistant\n", _CHATML_END, reasoning_content=_THOUGHTS, tool_calls=_TAGGED_PARAMETERS),
    ),
    Family(
        "ChatML with JSON between tags: Qwen 2.5 and 3, Hermes, SmolLM3",
        ("<tool_call>", "<|im_start|>assistant"),
        _template("<|im_start|>assistant\n", _CHATML_END, reasoning_content=_THOUGHTS, tool_calls=_TAGGED_JSON),
    ),
    Family(
        "Granite 4",
        ("<tool_call>", "<|start_of_role|>assistant"),
        _template(
            "<|start_of_role|>assistant<|end_of_role|>",
            r"<\|end_of_text\|>",
            reasoning_content=_THOUGHTS,
            tool_calls=_TAGGED_JSON,
        ),
    ),
    Family(
        "Granite 3",
        ("<|tool_call|>", "<|start_of_role|>assistant"),
        _template(
            "<|start_of_role|>assistant<|end_of_role|>",
            r"<\|end_of_text\|>",
            tool_calls={
                "open": "<|tool_call|>",
                "close": "<|end_of_text|>",
                "repeats": True,
                "content": "json",
                "transform": _WHOLE_CALL,
            },
        ),
    ),
    Family(
        "Mistral, from tokenizer version 11",
        ("[TOOL_CALLS]", "[ARGS]"),
        _template(
            ["[/INST]", "[/TOOL_RESULTS]"],
            r"</s>",
            reasoning_content={"open": "[THINK]", "close": "[/THINK]", "content": "text"},
            tool_calls={
                "open_pattern": r"\[TOOL_CALLS\](?P<name>[^\[\s{]+)(?:\[CALL_ID\][^\[]*)?\[ARGS\]",
                "close_pattern": r"(?=\[TOOL_CALLS\]|</s>)",
                "repeats": True,
                "content": "json",
                "transform": _NAME_AND_CONTENT,
            },
        ),
    ),
    Family(
        "Mistral, up to tokenizer version 7",
        ("[TOOL_CALLS]",),
        _template(
            ["[/INST]", "[/TOOL_RESULTS]"],
            r"</s>",
            tool_calls={
                "open_pattern": r"\s*\[TOOL_CALLS\]",
                "close": "</s>",
                "repeats": True,
                "content": "json",
                "transform": _WHOLE_CALL,
            },
        ),
    ),
    Family(
        "Llama 3.1 and later",
        ("<|start_header_id|>assistant<|end_header_id|>", "ipython", "parameters"),
        _template(
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            r"<\|eot_id\|>|<\|eom_id\|>",
            tool_calls={
                # A call is the whole reply: JSON in the midst of an answer is none.
                "open_pattern": r'\A\s*(?:<\|python_tag\|>|(?=\{\s*"(?:name|type)"\s*:))',
                "close_pattern": r"<\|eot_id\|>|<\|eom_id\|>",
                "repeats": True,
                "content": "json",
                "transform": _WHOLE_CALL,
            },
        ),
    ),
    Family(
        "DeepSeek R1 and its distills (thoughts only)",
        ("<｜Assistant｜>",),
        _template("<｜Assistant｜>", r"<｜end▁of▁sentence｜>", reasoning_content=_THOUGHTS),
    ),
    Family(
        "ChatML with thoughts",
        ("<|im_start|>assistant", "</think>"),
        _template("<|im_start|>assistant\n", _CHATML_END, reasoning_content=_THOUGHTS),
    ),
)


def response_template_for(chat_template: Any) -> dict[str, Any] | None:
    """The response template of the family that a chat template belongs to; `None` where it is not known.

    Args:
        chat_template: the tokenizer's: a template, or several by name.
    """
    if isinstance(chat_template, dict):
        chat_template = chat_template.get("tool_use") or chat_template.get("default")
    text = str(chat_template or "")
    return next((each.response_template for each in FAMILIES if all(held in text for held in each.holds)), None)
