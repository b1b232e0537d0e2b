"""A completion's token ids to text and tool calls, through the response template of the model's tokenizer."""

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langgraph_ratchet.chat_models.render import control_tokens
from langgraph_ratchet.core.ids import clean_json, clean_text, new_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ParsedReply:
    """What a completion says."""

    content: str
    reasoning: str = ""
    """What the model wrote in its place for thoughts; empty where its template knows none."""
    tool_calls: tuple[ToolCall, ...] = ()
    invalid_tool_calls: tuple[InvalidToolCall, ...] = ()
    """Calls that could not be read, each with the text as the model wrote it."""


def parse_reply(
    tokenizer: "PreTrainedTokenizerBase",
    prompt_ids: Sequence[int],
    completion_ids: Sequence[int],
    tools: Sequence[dict[str, Any]] | None = None,
) -> ParsedReply:
    """Reads a completion. It never raises: what cannot be read is handed on as text.

    Args:
        tokenizer: has the response template; without one everything is content.
        prompt_ids: the prompt, in which the model's template may have begun the reply.
        completion_ids: what the model produced, its end-of-turn token included.
        tools: the tools that were offered, in OpenAI's shape; arguments are cast to their schemas.
    """
    readings = _readings(tokenizer)
    if not readings:
        return ParsedReply(clean_text(tokenizer.decode(completion_ids, skip_special_tokens=True)).strip())
    # The parser drops everything but the last assistant turn of the prompt.
    prompt, text = str(tokenizer.decode(prompt_ids)), str(tokenizer.decode(completion_ids))
    offered = [dict(tool) for tool in tools or ()] or None
    for reading in readings:
        try:
            message = tokenizer.parse_response(text, reading, prefix=prompt, tools=offered)
        except (ValueError, TypeError, KeyError):
            continue
        return _reply(clean_json(message), _call_markers(tokenizer))
    raw = clean_text(tokenizer.decode(completion_ids, skip_special_tokens=True)).strip()
    return ParsedReply(raw, invalid_tool_calls=(_invalid(None, raw, "the reply does not have the model's own format"),))


def _reply(message: dict[str, Any], markers: Sequence[str]) -> ParsedReply:
    valid: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for entry in message.get("tool_calls") or ():
        call = _read_call(entry.get("function") if isinstance(entry, dict) else entry)
        valid.append(call) if call["type"] == "tool_call" else invalid.append(call)
    content = message.get("content") or ""
    begins = min((content.find(marker) for marker in markers if marker in content), default=-1)
    if begins >= 0:
        invalid.append(_invalid(None, content[begins:], "this begins or ends like a tool call and is none"))
        content = content[:begins]
    reasoning = message.get("reasoning_content") or ""
    return ParsedReply(content.strip(), reasoning, tuple(valid), tuple(invalid))


def _read_call(function: Any) -> Any:
    """A parsed call as LangChain holds it: a `ToolCall`, or an `InvalidToolCall` that says what is wrong."""
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        return _invalid(None, _written(function), "there is no tool name, or the call is not a JSON object")
    name, arguments = function["name"], function.get("arguments", function.get("parameters"))
    if not isinstance(arguments, dict):
        return _invalid(name, _written(arguments), "the arguments are not a JSON object")
    return tool_call(name=name, args=arguments, id=new_id("call"))


def _invalid(name: str | None, raw: str, why: str) -> InvalidToolCall:
    return invalid_tool_call(name=name, args=raw, id=new_id("call"), error=f"malformed tool call: {why}")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _readings(tokenizer: "PreTrainedTokenizerBase") -> tuple[Any, ...]:
    """The response template as it is and a lenient one, compiled once; none where the model has no template."""
    template = getattr(tokenizer, "response_template", None)
    known: tuple[Any, tuple[Any, ...]] | None = tokenizer.__dict__.get("_ratchet_readings")
    if known is None or known[0] is not template:
        from transformers.utils.chat_parsing.response_templates import load_response_template

        readings = (template, _lenient(template)) if template else ()
        known = (template, tuple(load_response_template(reading) for reading in readings))
        tokenizer.__dict__["_ratchet_readings"] = known
    return known[1]


def _lenient(template: dict[str, Any]) -> dict[str, Any]:
    """The template with JSON that does not parse left as text, so that the rest of the reply can still be read."""
    lenient = copy.deepcopy(template)
    for part in lenient["fields"].values():
        if part.get("content") == "json":
            part["content_args"] = {**part.get("content_args", {}), "allow_non_json": True}
    return lenient


def _call_markers(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The control tokens that the template expects around tool calls; one that is left in the content is a mistake."""
    part = tokenizer.response_template["fields"].get("tool_calls", {})
    text = json.dumps([part.get(key) for key in ("open", "open_pattern", "close", "close_pattern")], ensure_ascii=False)
    text = text.replace("\\\\", "\\")
    return [token for token in control_tokens(tokenizer) if token in text or re.escape(token) in text]
