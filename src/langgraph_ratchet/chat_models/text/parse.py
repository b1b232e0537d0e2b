"""A completion's token ids to text and tool calls, through the response template of the model's tokenizer."""

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langgraph_ratchet.chat_models.text.control import control_tokens
from langgraph_ratchet.core.ids import clean_json, clean_text, new_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_OPENING_TOKENS = 32
"""The beginning of a reply is looked for in the prompt's last tokens first: decoding all of it would take longer."""


SPELT = "\ufdd1"
"""The mark within what ordinary tokens spell like a control token; no character at all, so no reply holds it."""


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
    *,
    text: str | None = None,
    calls: bool = True,
) -> ParsedReply:
    """Reads a completion. It never raises: what cannot be read is handed on as text.

    Args:
        tokenizer: has the response template; without one everything is content.
        prompt_ids: the prompt, in which the model's template may have begun the reply.
        completion_ids: what the model produced, its end-of-turn token included.
        tools: the tools that were offered, in OpenAI's shape; arguments are cast to their schemas.
        text: what the reply says, where that is only a beginning of what was written; see `written`.
        calls: whether it may hold tool calls; otherwise what looks like one is content.
    """
    readings = _readings(tokenizer, calls)
    whole = text is None
    if text is None:
        text = written(tokenizer, completion_ids)
    if not readings:
        return ParsedReply(clean_text(text).strip())
    text = _spelt_apart(tokenizer, completion_ids, text, whole)
    prompt = _opening(tokenizer, prompt_ids, readings[0])
    offered = [dict(tool) for tool in tools or ()] or None
    for reading in readings:
        try:
            message = tokenizer.parse_response(text, reading, prefix=prompt, tools=offered)
        except (ValueError, TypeError, KeyError):
            continue
        return _reply(clean_json(message), call_markers(tokenizer) if calls else ())
    raw = clean_text(str(tokenizer.decode(completion_ids, skip_special_tokens=True))).strip()
    return ParsedReply(raw, invalid_tool_calls=(_invalid(None, raw, "the reply does not have the model's own format"),))


def written(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """The text of a completion as it is parsed: with the control tokens, where the tokenizer knows how to read them."""
    return str(tokenizer.decode(ids, skip_special_tokens=not _readings(tokenizer)))


def _spelt_apart(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], text: str, whole: bool) -> str:
    """`text`, all or the beginning of what `ids` say, with a mark in what ordinary tokens spell like a control token.

    Nobody's text becomes a tool call by being copied into a reply: only the control tokens themselves are markers.
    """
    control = control_tokens(tokenizer)
    found = len(control.pattern.findall(text))
    if not found or (whole and found <= sum(token in control.ids for token in ids)):
        return text
    runs = groupby(ids, key=control.ids.__contains__)
    parts = ((special, str(tokenizer.decode(list(run)))) for special, run in runs)
    marked = "".join(part if special else control.marked(part, SPELT) for special, part in parts)
    if not marked.replace(SPELT, "").startswith(text):
        return text  # its pieces do not decode to the whole
    shown = next(at for at in range(len(text), len(marked) + 1) if len(marked[:at].replace(SPELT, "")) == len(text))
    return marked[:shown]


def spelt_together(value: Any) -> Any:
    """`value` with every string in it, keys included, without such marks."""
    if isinstance(value, str):
        return value.replace(SPELT, "")
    if isinstance(value, dict):
        return {spelt_together(key): spelt_together(item) for key, item in value.items()}
    return [spelt_together(item) for item in value] if isinstance(value, list) else value


def reply_parser(
    tokenizer: "PreTrainedTokenizerBase",
    prompt_ids: Sequence[int],
    tools: Sequence[dict[str, Any]] | None = None,
    *,
    calls: bool = True,
) -> Any:
    """The parser of transformers that reads a reply while it is written, as `parse_reply` reads a whole one.

    `None` where the tokenizer has no response template, and everything is content.
    """
    readings = _readings(tokenizer, calls)
    if not readings:
        return None
    offered = [dict(tool) for tool in tools or ()] or None
    opening = _opening(tokenizer, prompt_ids, readings[-1])
    return tokenizer.get_response_parser(readings[-1], prefix=opening, tools=offered)


def _reply(message: dict[str, Any], markers: Sequence[str]) -> ParsedReply:
    valid: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for entry in message.get("tool_calls") or ():
        for call in read_calls(entry):
            valid.append(call) if call["type"] == "tool_call" else invalid.append(call)
    content = message.get("content") or ""
    begins = min((content.find(marker) for marker in markers if marker in content), default=-1)
    if begins >= 0:
        raw = spelt_together(content[begins:])
        invalid.append(_invalid(None, raw, "this begins or ends like a tool call and is none"))
        content = content[:begins]
    content, reasoning = (spelt_together(text).strip() for text in (content, message.get("reasoning_content") or ""))
    return ParsedReply(content, reasoning, tuple(valid), tuple(invalid))


def read_calls(entry: Any) -> list[Any]:
    """The calls of one region of a reply: some models write several as one JSON list."""
    function = entry.get("function") if isinstance(entry, dict) else entry
    return [read_call({"function": each}) for each in function] if isinstance(function, list) else [read_call(entry)]


def read_call(entry: Any) -> Any:
    """A parsed call as LangChain holds it: a `ToolCall`, or an `InvalidToolCall` that says what is wrong."""
    function = spelt_together(entry.get("function") if isinstance(entry, dict) else entry)
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


def _readings(tokenizer: "PreTrainedTokenizerBase", calls: bool = True) -> tuple[Any, ...]:
    """The response template as it is and a lenient one, compiled once; none where the model has no template."""
    template = getattr(tokenizer, "response_template", None)
    known: tuple[Any, tuple[Any, ...], tuple[Any, ...]] | None = tokenizer.__dict__.get("_ratchet_readings")
    if known is None or known[0] is not template:
        known = (template, _compiled(template, True), _compiled(template, False))
        tokenizer.__dict__["_ratchet_readings"] = known
    return known[1] if calls else known[2]


def _compiled(template: dict[str, Any] | None, calls: bool) -> tuple[Any, ...]:
    if not template:
        return ()
    from transformers.utils.chat_parsing.response_templates import load_response_template

    template = copy.deepcopy(template)
    if not calls:
        template["fields"].pop("tool_calls", None)
    for part in template["fields"].values():
        if part.get("content", "text") == "text" and not part.keys() & {"repeats", "transform", "content_args"}:
            # Text before a call and text after it are both content; by itself, the last part would stand for all.
            part.update(repeats=True, join="", content_args={"strip": False})
    return tuple(load_response_template(reading) for reading in (template, _lenient(template)))


def _opening(tokenizer: "PreTrainedTokenizerBase", prompt_ids: Sequence[int], reading: Any) -> str:
    """The prompt's text from its last turn on, in which the template may have begun the reply."""
    end = str(tokenizer.decode(prompt_ids[-_OPENING_TOKENS:]))
    whole = reading.start_anchor_re.search(end) is not None or len(prompt_ids) <= _OPENING_TOKENS
    return end if whole else str(tokenizer.decode(prompt_ids))


def _lenient(template: dict[str, Any]) -> dict[str, Any]:
    """The template with JSON that does not parse left as text, so that the rest of the reply can still be read."""
    lenient = copy.deepcopy(template)
    for part in lenient["fields"].values():
        if part.get("content") == "json":
            part["content_args"] = {**part.get("content_args", {}), "allow_non_json": True}
    return lenient


def call_markers(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The control tokens that the template expects around tool calls; one that is left in the content is a mistake."""
    part = tokenizer.response_template["fields"].get("tool_calls", {})
    text = json.dumps([part.get(key) for key in ("open", "open_pattern", "close", "close_pattern")], ensure_ascii=False)
    text = text.replace("\\\\", "\\")
    return [token for token in control_tokens(tokenizer).strings if token in text or re.escape(token) in text]
