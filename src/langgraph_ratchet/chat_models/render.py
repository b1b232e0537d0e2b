"""Messages to token ids through the model's own chat template, with other people's text unable to forge a turn."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, ChatMessage, ToolMessage, convert_to_messages
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_ratchet.core.errors import BadInputError, ToolCallingError
from langgraph_ratchet.core.ids import clean_json, clean_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = Sequence[BaseMessage | AnyMessage | dict[str, Any] | tuple[str, str]]
"""Messages as LangChain takes them: objects, OpenAI dictionaries or (role, text) pairs."""

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_KNOWN_ROLES = ("system", "developer", "user", "assistant", "tool")
_PROBE = {
    "name": "ratchet_probe_tool",
    "description": "",
    "parameters": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
}


def render_prompt(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, tools: Sequence[Any] | None = None
) -> list[int]:
    """Token ids of the conversation up to where the assistant starts to write.

    Args:
        tokenizer: has the chat template.
        messages: the conversation; its texts may come from anybody.
        tools: anything that `convert_to_openai_tool` takes, or `None`.

    Raises:
        BadInputError: there is no message, or the template refuses this sequence of roles.
    """
    return _encode(tokenizer, _render(tokenizer, messages, tools, prompt=True))


def render_reply(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, tools: Sequence[Any] | None, reply: AIMessage
) -> tuple[list[int], list[int]]:
    """Token ids of a conversation and of a reply to it, as if the model had written that reply.

    Returns:
        The prompt's ids, equal to `render_prompt`'s, and the completion's ids up to its end-of-turn token.

    Raises:
        BadInputError: as `render_prompt`, or the template renders the prompt differently once a reply follows.
    """
    prompt = _render(tokenizer, messages, tools, prompt=True)
    whole = _render(tokenizer, [*messages, reply], tools, prompt=False)
    if not whole.startswith(prompt):
        raise BadInputError(
            "the chat template renders the conversation differently when a reply follows, so the reply's tokens "
            "cannot be told apart: use a template that preserves prefixes"
        )
    completion = _encode(tokenizer, whole[len(prompt) :])
    return _encode(tokenizer, prompt), _up_to_end_of_turn(tokenizer, completion)


def to_template_messages(messages: Messages) -> list[dict[str, Any]]:
    """Messages in the shape that chat templates read: text content, tool arguments as objects.

    A tool call that could not be parsed stands in the content as the model wrote it, so that it sees its mistake.
    """
    rows: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in convert_to_messages(list(messages)):
        row: dict[str, Any] = {"role": _role(message), "content": message_text(message)}
        if isinstance(message, AIMessage):
            row |= _calls(message)
            names |= {call["id"]: call["name"] for call in message.tool_calls if call["id"]}
            if reasoning := message.additional_kwargs.get("reasoning_content"):
                row["reasoning_content"] = str(reasoning)
        if isinstance(message, ToolMessage):
            row |= {"name": message.name or names.get(message.tool_call_id, ""), "tool_call_id": message.tool_call_id}
        rows.append(row)
    return rows


def to_template_tools(tools: Sequence[Any] | None) -> list[dict[str, Any]] | None:
    """Tools in OpenAI's shape, or `None` where there are none."""
    return [tool if _is_openai_tool(tool) else convert_to_openai_tool(tool) for tool in tools or ()] or None


def message_text(message: BaseMessage) -> str:
    """The text of a message; parts that are not text are left out."""
    if isinstance(message.content, str):
        return message.content
    parts = (part if isinstance(part, str) else part.get("text") for part in message.content)
    return "".join(part for part in parts if isinstance(part, str))


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    """The strings that the tokenizer turns into control tokens, longest first.

    Added tokens count as control tokens unless they are plain words or white space: many models mark tool calls
    and thoughts with added tokens that are not flagged as special.
    """
    cached: tuple[str, ...] | None = tokenizer.__dict__.get("_ratchet_control_tokens")
    if cached is None:
        added = tokenizer.added_tokens_decoder.values()
        found = {str(token) for token in added if token.special or not _is_plain(str(token))}
        cached = tuple(sorted(found - {""}, key=lambda token: (-len(token), token)))
        tokenizer.__dict__["_ratchet_control_tokens"] = cached
    return cached


def neutralise(text: str, special_tokens: Sequence[str]) -> str:
    """`text` in which no control token can be read: each gets a space after its first character.

    A space can complete another token only if that token contains one, so this is repeated until nothing is found.
    Markers that a template writes as ordinary text, not as tokens, are not known here and are left as they are.
    """
    pattern = _any_of(tuple(special_tokens))
    while pattern.search(text):
        text = pattern.sub(_broken, text)
    return text


def renders_tools(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the chat template shows offered tools to the model at all."""
    known: tuple[Any, bool] | None = tokenizer.__dict__.get("_ratchet_renders_tools")
    if known is None or known[0] != tokenizer.chat_template:
        try:
            text = _render(tokenizer, [("user", "?")], [{"type": "function", "function": _PROBE}])
        except BadInputError:
            text = ""
        known = (tokenizer.chat_template, str(_PROBE["name"]) in text)
        tokenizer.__dict__["_ratchet_renders_tools"] = known
    return known[1]


def require_tool_calling(tokenizer: "PreTrainedTokenizerBase", name: str) -> None:
    """Raises `ToolCallingError` unless the model's template renders tools and its replies can be parsed."""
    if not renders_tools(tokenizer):
        raise ToolCallingError(
            f"model {name!r} cannot call tools: its chat template does not render them. "
            "Use a model whose template takes `tools`, or offer no tools"
        )
    if getattr(tokenizer, "response_template", None) is None:
        raise ToolCallingError(
            f"model {name!r} cannot call tools: it has no response template to read tool calls with. "
            "Set `response_template` in its tokenizer_config.json, or offer no tools"
        )


def _render(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, tools: Sequence[Any] | None, *, prompt: bool = True
) -> str:
    from jinja2 import TemplateError

    control = control_tokens(tokenizer)
    rows = _harmless(to_template_messages(messages), control)
    if not rows:
        raise BadInputError("a chat model was called with no messages: give at least one")
    offered = _harmless_tools(orjson.dumps(clean_json(to_template_tools(tools))), control) if tools else None
    try:
        text = tokenizer.apply_chat_template(rows, tools=offered, add_generation_prompt=prompt, tokenize=False)
    except (TemplateError, TypeError, ValueError) as error:
        roles = ", ".join(row["role"] for row in rows)
        raise BadInputError(f"the chat template cannot render messages with the roles {roles}: {error}") from error
    return str(text)


@lru_cache(maxsize=256)
def _harmless_tools(tools: bytes, control: tuple[str, ...]) -> Any:
    """Tools, as JSON in their own order, made harmless. The same few are offered in call after call."""
    return _harmless(orjson.loads(tools), control)


@lru_cache(maxsize=16)
def _any_of(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, tokens)) or r"(?!)")


def _harmless(value: Any, control: tuple[str, ...]) -> Any:
    """`value` with every string in it, keys included, clean and neutral."""
    if isinstance(value, str):
        return neutralise(clean_text(value), control)
    if isinstance(value, Mapping):
        return {_harmless(key, control): _harmless(item, control) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_harmless(item, control) for item in value]
    return value


def _broken(match: re.Match[str]) -> str:
    token = match.group()
    return f"{token[0]} {token[1:]}" if len(token) > 1 and " " not in token[:2] else " "


def _encode(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    # The template has written every control token, the first one included.
    return list(tokenizer.encode(text, add_special_tokens=False, verbose=False))


def _up_to_end_of_turn(tokenizer: "PreTrainedTokenizerBase", ids: list[int]) -> list[int]:
    """`ids` without what the template writes after the turn, such as a line break."""
    ends = {tokenizer.eos_token_id} & set(ids) or set(tokenizer.all_special_ids)
    last = max((at for at, token in enumerate(ids) if token in ends), default=len(ids) - 1)
    return ids[: last + 1]


def _role(message: BaseMessage) -> str:
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type, message.type)
    if role not in _KNOWN_ROLES:
        # Templates write roles into control tokens, so a role must not come from anybody.
        raise BadInputError(f"a message has the role {role!r}; known: {', '.join(_KNOWN_ROLES)}")
    return role


def _calls(message: AIMessage) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if message.tool_calls:
        extra["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
            for call in message.tool_calls
        ]
    if message.invalid_tool_calls:
        written = (call["args"] or json.dumps(call["name"]) for call in message.invalid_tool_calls)
        extra["content"] = "\n".join(filter(None, (message_text(message), *written)))
    return extra


def _is_openai_tool(tool: Any) -> bool:
    return isinstance(tool, dict) and tool.get("type") == "function" and "function" in tool


def _is_plain(text: str) -> bool:
    return len(text) < 2 or all(character.isalnum() or character.isspace() for character in text)
