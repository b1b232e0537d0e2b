"""Messages to token ids through the model's own chat template, with other people's text unable to forge a turn."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, ChatMessage, ToolMessage, convert_to_messages
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_ratchet.chat_models.text.control import ControlTokens, control_tokens, is_escaped, unused_mark
from langgraph_ratchet.core.errors import BadInputError, ToolCallingError
from langgraph_ratchet.core.ids import clean_json, content_hash

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = Sequence[BaseMessage | AnyMessage | dict[str, Any] | tuple[str, str]]
"""Messages as LangChain takes them: objects, OpenAI dictionaries or (role, text) pairs."""

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_KNOWN_ROLES = ("system", "developer", "user", "assistant", "tool")
_NINE = re.compile(r"\blength\s*!=\s*9\b")
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
    rendered = _render(tokenizer, messages, tools)
    return control_tokens(tokenizer).encode(tokenizer, rendered.prompt, rendered.mark)


def render_reply(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, tools: Sequence[Any] | None, reply: AIMessage
) -> tuple[list[int], list[int]]:
    """Token ids of a conversation and of a reply to it, as if the model had written that reply.

    Returns:
        The prompt's ids, equal to `render_prompt`'s, and the completion's ids up to its end-of-turn token.

    Raises:
        BadInputError: as `render_prompt`, or the template renders the prompt differently once a reply follows.
    """
    rendered = _render(tokenizer, messages, tools, reply)
    if not rendered.whole.startswith(rendered.prompt):
        raise BadInputError(
            "the chat template renders the conversation differently when a reply follows, so the reply's tokens "
            "cannot be told apart: use a template that preserves prefixes"
        )
    control = control_tokens(tokenizer)
    completion = control.encode(tokenizer, rendered.whole[len(rendered.prompt) :], rendered.mark)
    return control.encode(tokenizer, rendered.prompt, rendered.mark), _up_to_end_of_turn(tokenizer, completion)


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


def renders_tools(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the chat template shows offered tools to the model at all."""
    known: tuple[Any, bool] | None = tokenizer.__dict__.get("_ratchet_renders_tools")
    if known is None or known[0] != tokenizer.chat_template:
        try:
            text = _render(tokenizer, [("user", "?")], [{"type": "function", "function": _PROBE}]).prompt
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
    template = getattr(tokenizer, "response_template", None)
    if template is None or "tool_calls" not in template["fields"]:
        raise ToolCallingError(
            f"model {name!r} cannot call tools: its tokenizer has no response template that reads them, and its family "
            "is not known. Set `response_template` in its tokenizer_config.json, with a field `tool_calls` that says "
            "where a call begins and ends (the format is that of transformers), or offer no tools"
        )


@dataclass(frozen=True)
class _Rendered:
    """A conversation as the template writes it. `mark` stands where its texts could hold or form control tokens."""

    prompt: str
    whole: str
    """With the reply, if there is one."""
    mark: str | None


def _render(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Messages,
    tools: Sequence[Any] | None,
    reply: AIMessage | None = None,
) -> _Rendered:
    rows = clean_json(to_template_messages([*messages] if reply is None else [*messages, reply]))
    asked = rows if reply is None else rows[:-1]
    if not asked:
        raise BadInputError("a chat model was called with no messages: give at least one")
    if _wants_nine(str(tokenizer.chat_template)):
        _shorten_ids(rows)
    control = control_tokens(tokenizer)
    offered = _offered(orjson.dumps(clean_json(to_template_tools(tools))), control) if tools else _NO_TOOLS

    def written(mark: str | None) -> _Rendered:
        shown = offered.tools if mark is None else control.marked_everywhere(offered.tools, mark)
        told = rows if mark is None else control.marked_everywhere(rows, mark)
        prompt = _template(tokenizer, told[: len(asked)], shown, prompt=True)
        whole = "" if reply is None else _template(tokenizer, told, shown, prompt=False)
        return _Rendered(prompt, whole, mark)

    texts = set(_strings(rows))  # keys recur in every message
    if not (offered.suspect or any(map(control.may_arise_in, texts))):
        return written(None)
    rendered = written(unused_mark([*texts, *offered.texts, str(tokenizer.chat_template)]))
    if is_escaped(rendered.prompt + rendered.whole, str(rendered.mark)):
        # This template cannot be cut at the marks: the texts are changed instead.
        return replace(written(control.joiner), mark=None)
    return rendered


def _template(tokenizer: "PreTrainedTokenizerBase", rows: list[dict[str, Any]], tools: Any, prompt: bool) -> str:
    from jinja2 import TemplateError

    try:
        return str(tokenizer.apply_chat_template(rows, tools=tools, add_generation_prompt=prompt, tokenize=False))
    except (TemplateError, TypeError, ValueError) as error:
        roles = ", ".join(row["role"] for row in rows)
        raise BadInputError(f"the chat template cannot render messages with the roles {roles}: {error}") from error


@dataclass(frozen=True)
class _Offered:
    """Offered tools, in their own order of keys."""

    tools: list[dict[str, Any]] | None
    texts: tuple[str, ...]
    suspect: bool
    """Whether control tokens can be read in them, or could arise from them."""


_NO_TOOLS = _Offered(None, (), suspect=False)


@lru_cache(maxsize=256)
def _offered(tools: bytes, control: ControlTokens) -> _Offered:
    """The same few tools are offered in call after call."""
    read = orjson.loads(tools)
    texts = tuple(_strings(read))
    return _Offered(read, texts, any(map(control.may_arise_in, texts)))


def _shorten_ids(rows: list[dict[str, Any]]) -> None:
    """Writes ids of tool calls as Mistral's templates want them: nine letters and digits."""
    calls = [call for row in rows for call in row.get("tool_calls", ())]
    for call in calls:
        call["id"] = _nine(call["id"])
    for row in rows:
        if "tool_call_id" in row:
            row["tool_call_id"] = _nine(row["tool_call_id"])


@lru_cache(maxsize=16)
def _wants_nine(chat_template: str) -> bool:
    return _NINE.search(chat_template) is not None


def _nine(identity: str | None) -> str:
    text = identity or ""
    return text if len(text) == 9 and text.isalnum() else content_hash(text)[:9]


def _strings(value: Any) -> Iterator[str]:
    """Every string in `value`, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


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
