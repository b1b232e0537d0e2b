"""How a model's chat template writes a reply: the text around a tool call's name and arguments, and around content."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langgraph_ratchet.chat_models.constrained.containers import Json
from langgraph_ratchet.chat_models.constrained.nodes import CONTROL
from langgraph_ratchet.chat_models.constrained.vocabulary import Vocabulary
from langgraph_ratchet.chat_models.text.render import render_prompt, render_reply, to_template_messages
from langgraph_ratchet.core.errors import BadInputError, ToolCallingError

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.base import Base

_NAMES = ("ratchet_probe_one", "ratchet_probe_two")
_ARGUMENTS = {"probe_key": "probe text", "probe_list": ["probe a", "probe b"]}
_WRITTEN = re.compile(
    rb'\{(\s*)"probe_key"(\s*:\s*)"probe text"(\s*,\s*)"probe_list"\s*:\s*\[\s*"probe a"\s*,\s*"probe b"\s*\]\s*\}'
)
_PROBE = [("user", "?")]
_CONTENT = "ratchet probe content"
_MARK = re.compile(r"<[^\s<>{}\"]{2,}>|\[/?[A-Z_]{3,}\]")
"""What looks like a mark in the text around a call, where it is no control token."""
_THOUGHT = ("<think>", "</think>")


@dataclass(frozen=True)
class ToolFormat:
    """The text around calls, as bytes (see `nodes`); the end of turn is left out."""

    before: bytes
    """Up to the first call's name."""
    between: bytes
    """From a call's name to its arguments."""
    after: bytes
    """From the last call's arguments on."""
    again: bytes | None
    """From a call's arguments to the next call's name; `None` if a reply holds one call only."""
    json: Json
    end: int | None
    """The end of turn that the template writes."""
    marks: frozenset[str]
    """What looks like a mark in the text around a call, and is spelled in ordinary tokens."""


@dataclass(frozen=True)
class ContentFormat:
    """The text around a reply's content."""

    before: bytes
    after: bytes
    end: int | None
    marks: frozenset[str]


def tool_format(base: "Base", vocabulary: Vocabulary) -> ToolFormat:
    """How the model of `base` writes tool calls, seen from what its template makes of one and of two.

    Raises:
        ToolCallingError: the template does not write a name and then its arguments as JSON.
    """
    try:
        whole, end = _written(base, vocabulary, _call(_NAMES[:1]))
    except BadInputError as error:
        raise ToolCallingError(f"tool_choice cannot be guaranteed with {base.name!r}: {error}") from error
    name, arguments = whole.find(_NAMES[0].encode()), _WRITTEN.search(whole)
    if name < 0 or arguments is None or arguments.start() < name:
        raise ToolCallingError(
            f"tool_choice cannot be guaranteed with {base.name!r}: its chat template does not write a tool call as the "
            "tool's name followed by its arguments in JSON. Leave the choice to the model (tool_choice='auto'), or use "
            "another model"
        )
    before, after, again = whole[:name], whole[arguments.end() :], _again(base, vocabulary)
    between = whole[name + len(_NAMES[0]) : arguments.start()]
    return ToolFormat(
        before=before,
        between=between,
        after=after,
        again=again,
        json=Json(item=arguments[3], key=arguments[2]),
        end=end,
        marks=_marks(before, between, after, again or b""),
    )


def content_format(base: "Base", vocabulary: Vocabulary) -> ContentFormat:
    """How the model of `base` writes a reply without tool calls.

    Raises:
        BadInputError: the template does not write the content as it is.
    """
    whole, end = _written(base, vocabulary, AIMessage(_CONTENT))
    before, found, after = whole.partition(_CONTENT.encode())
    if not found:
        raise BadInputError(f"the replies of {base.name!r} cannot be constrained: its chat template changes their text")
    return ContentFormat(before, after, end, _marks(before, after))


def _marks(*texts: bytes) -> frozenset[str]:
    return frozenset(_MARK.findall(CONTROL.sub(b" ", b" ".join(texts)).decode(errors="ignore")))


def _again(base: "Base", vocabulary: Vocabulary) -> bytes | None:
    try:
        whole, _ = _written(base, vocabulary, _call(_NAMES))
    except BadInputError:
        return None
    first = _WRITTEN.search(whole)
    second = whole.find(_NAMES[1].encode())
    return whole[first.end() : second] if first and second > first.end() else None


def _call(names: tuple[str, ...]) -> AIMessage:
    calls = [{"name": name, "args": _ARGUMENTS, "id": f"call{number:05}"} for number, name in enumerate(names)]
    return AIMessage("", tool_calls=calls)


def _written(base: "Base", vocabulary: Vocabulary, reply: AIMessage) -> tuple[bytes, int | None]:
    """What the template writes for a reply, and the end of turn that stands after it."""
    tools = [_tool(name) for name in _NAMES] if reply.tool_calls else None
    try:
        _, ids = render_reply(base.tokenizer, _PROBE, tools, reply)
    except BadInputError:
        prompt = str(base.tokenizer.decode(render_prompt(base.tokenizer, _PROBE, tools)))
        opened = prompt.rstrip()
        if not opened.endswith(_THOUGHT[0]):
            raise
        # The prompt opens the model's thoughts, which the template leaves out of replies: they are closed at once.
        closed = f"{'' if prompt.endswith(chr(10)) else chr(10)}{_THOUGHT[1]}\n\n"
        ids = [
            *base.tokenizer.encode(closed, add_special_tokens=False),
            *_after(base, opened.removesuffix(_THOUGHT[0]), tools, reply),
        ]
    end = ids[-1] if ids and ids[-1] in base.end_ids else None
    return b"".join(map(vocabulary.text_of, ids[:-1] if end is not None else ids)), end


def _after(base: "Base", prompt: str, tools: Any, reply: AIMessage) -> list[int]:
    """Ids of a reply that a template renders after a prompt, up to its end of turn."""
    from jinja2 import TemplateError

    rows = to_template_messages([*_PROBE, reply])
    try:
        whole = str(base.tokenizer.apply_chat_template(rows, tools=tools, tokenize=False))
    except (TemplateError, TypeError, ValueError) as error:
        raise BadInputError(f"the chat template of {base.name!r} cannot render a reply: {error}") from error
    if not whole.startswith(prompt):
        raise BadInputError(f"the chat template of {base.name!r} renders a prompt differently when a reply follows")
    ids = list(base.tokenizer.encode(whole[len(prompt) :], add_special_tokens=False))
    ends = [at for at, token in enumerate(ids) if token in base.end_ids]
    return ids[: ends[0] + 1] if ends else ids


def _tool(name: str) -> dict[str, Any]:
    properties = {"probe_key": {"type": "string"}, "probe_list": {"type": "array", "items": {"type": "string"}}}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}
