"""One tool call while it is written: its name first, then its arguments piece by piece.

The pieces join to the JSON of the arguments that `parse.parse_reply` reads from the whole. A call that turns out not to
be one ends with a piece that no JSON can have: LangChain would complete half of a call and take it for a whole one.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.utils.json import parse_partial_json

from langgraph_ratchet.chat_models.text.parse import spelt_together
from langgraph_ratchet.core.ids import clean_text, new_id

_CLOSING = "} \t\r\n"
"""What the end of the arguments is made of; held back until it is known how they are read."""
_SPOILERS = ("]", "}", '"]', '"}', '\\"]', '\\"}')


class CallDeltas:
    """The chunks of one tool call.

    Args:
        index: place of the call in the reply.
        field: of the response template, the part that describes tool calls.
        captures: what the opening mark told, such as the name.
    """

    def __init__(self, index: int, field: Mapping[str, Any], captures: Mapping[str, str]) -> None:
        self._index = index
        self._opening, self._name = _opening(field, captures)
        self._body = ""
        self._start: int | None = None
        """Where the arguments begin in the body."""
        self._told: str | None = None
        """The arguments told so far; `None` before the name was told."""

    def feed(self, text: str) -> list[ToolCallChunk]:
        """What the next piece of the body tells."""
        self._body += spelt_together(clean_text(text))
        if self._start is None and self._opening is not None and (match := self._opening.match(self._body)):
            self._start = match.end()
            self._name = json.loads(match["name"], strict=False) if "name" in match.groupdict() else self._name
        if self._start is None or not self._name:
            return []
        return self._up_to(self._body[self._start :].rstrip(_CLOSING))

    @property
    def begun(self) -> bool:
        """Whether anything was told."""
        return self._told is not None

    def end(self, call: Any) -> list[ToolCallChunk]:
        """What is left when the call has ended as `call`, a `ToolCall` or an `InvalidToolCall`."""
        if self._told is None:
            self._name = call["name"]
        if "error" not in call:
            return self._up_to(self._whole(call["args"]))
        return self._up_to(call["args"] if call["args"].startswith(self._told or "") else self._told, spoil=True)

    def abandon(self) -> list[ToolCallChunk]:
        """What makes a call of which the rest cannot be read no call."""
        return self._up_to(self._told, spoil=True)

    def _whole(self, args: dict[str, Any]) -> str:
        """The JSON of `args`, beginning with what was told."""
        if not self._told or self._start is None:
            return json.dumps(args, ensure_ascii=False)
        read, end = json.JSONDecoder(strict=False).raw_decode(self._body, self._start)
        whole = self._body[self._start : end]
        # The parser casts arguments to their schema; of two members with one name the last one counts.
        cast = {key: value for key, value in args.items() if key not in read or read[key] != value}
        added = "".join(f", {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in cast.items())
        return f"{whole[:-1]}{added}}}" if added else whole

    def _up_to(self, args: str | None, spoil: bool = False) -> list[ToolCallChunk]:
        first, told = self._told is None, self._told or ""
        args = args or ""
        if spoil:
            args += next((end for end in ("", *_SPOILERS) if not _is_call(args + end)), "")
        if not first and args == told:
            return []
        self._told = args
        name, identity = (self._name, new_id("call")) if first else (None, None)
        return [tool_call_chunk(name=name, args=args[len(told) :], id=identity, index=self._index)]


def _opening(field: Mapping[str, Any], captures: Mapping[str, str]) -> tuple[re.Pattern[str] | None, str | None]:
    """What stands in a call's body before its arguments, and the call's name if it is known already.

    No pattern where arguments are not written as one JSON text: such calls are told when they are whole.
    """
    function = field.get("transform", {}).get("function") if isinstance(field.get("transform"), dict) else None
    if field.get("content") != "json" or field.get("content_args") or field.get("transform_each"):
        return None, None
    if isinstance(function, dict):
        name, args = str(function.get("name")), str(function.get("arguments"))
        if args == "{content}":
            return re.compile(r"\s*(?=\{)"), captures.get(name.strip("{}"))
        if not (name.startswith("{content.") and args.startswith("{content.")):
            return None, None
        name_key, args_key = re.escape(name[9:-1]), re.escape(args[9:-1])
    elif function == "{content}":
        name_key, args_key = "name", "(?:arguments|parameters)"
    else:
        return None, None
    text = r'"(?:[^"\\]|\\.)*"'
    return re.compile(rf'\s*\{{\s*"{name_key}"\s*:\s*(?P<name>{text})\s*,\s*"{args_key}"\s*:\s*(?=\{{)'), None


def _is_call(args: str) -> bool:
    """Whether LangChain reads these arguments as an object."""
    try:
        return not args or isinstance(parse_partial_json(args), dict)
    except ValueError:
        return False
