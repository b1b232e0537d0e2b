"""OpenAI's messages as LangChain's: roles, content parts, tool calls and their results.

Fields that a client sends back as it got them (`annotations`, `audio: null`, …) are passed over; what would be lost and
matters, such as an image, is refused.
"""

from collections.abc import Callable
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from langgraph_ratchet.serving.openai.body import parse_json
from langgraph_ratchet.serving.openai.errors import RequestError, bad_request

Row = dict[str, Any]


def read_messages(rows: list[Row], most: int) -> list[BaseMessage]:
    """The conversation.

    Args:
        rows: messages as they stand in a request's body.
        most: how many there may be.

    Raises:
        RequestError: 400 with the place that is wrong: an unknown role, content that is not text, a tool's result
            that answers no call, or a call without a result before the next turn.
    """
    if len(rows) > most:
        raise bad_request(
            f"the conversation has {len(rows):,} messages; at most {most:,} are taken",
            "messages",
            "array_above_max_length",
        )
    conversation: list[BaseMessage] = []
    open_calls: dict[str, str] = {}
    for index, row in enumerate(rows):
        path = f"messages[{index}]"
        message = _reader(row, path)(row, path)
        if isinstance(message, ToolMessage):
            if open_calls.pop(message.tool_call_id, None) is None:
                raise bad_request(
                    f"no assistant message before it has a tool call {message.tool_call_id!r} that still waits for its "
                    "result",
                    f"{path}.tool_call_id",
                )
        elif open_calls:
            raise bad_request(f"the tool calls {', '.join(open_calls)} have no result before this message", path)
        elif isinstance(message, AIMessage):
            called = [*message.tool_calls, *message.invalid_tool_calls]
            open_calls = {str(call["id"]): str(call["name"]) for call in called}
        conversation.append(message)
    if open_calls:
        raise bad_request(f"the tool calls {', '.join(open_calls)} have no result", "messages")
    return conversation


def _reader(row: Row, path: str) -> Callable[[Row, str], BaseMessage]:
    role = _string(row, "role", path)
    if role not in _READERS:
        known = ", ".join(_READERS)
        hint = ": give a tool message" if role == "function" else ""
        raise bad_request(f"{role!r} is no role{hint}; roles: {known}", f"{path}.role")
    return _READERS[role]


def _system(row: Row, path: str) -> BaseMessage:
    return SystemMessage(_content(row, path), name=_name(row, path))


def _user(row: Row, path: str) -> BaseMessage:
    return HumanMessage(_content(row, path), name=_name(row, path))


def _assistant(row: Row, path: str) -> BaseMessage:
    for gone in ("function_call", "audio"):
        if row.get(gone) is not None:
            raise bad_request(f"{gone} is not supported", f"{path}.{gone}", "unsupported_parameter")
    calls, invalid = _calls(row, path)
    refusal = row.get("refusal")
    if row.get("content") is not None:
        content = _content(row, path, also="refusal")
    elif isinstance(refusal, str):
        content = refusal
    elif calls or invalid:
        content = ""
    else:
        raise bad_request("an assistant message has content or tool calls; this has neither", f"{path}.content")
    reasoning = row.get("reasoning_content")
    return AIMessage(
        content,
        name=_name(row, path),
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs={"reasoning_content": reasoning} if isinstance(reasoning, str) and reasoning else {},
    )


def _tool(row: Row, path: str) -> BaseMessage:
    return ToolMessage(_content(row, path), tool_call_id=_string(row, "tool_call_id", path))


_READERS: dict[str, Callable[[Row, str], BaseMessage]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}


def _content(row: Row, path: str, also: str = "") -> str:
    """The text of a message: a string, or the texts of its parts; a part may be of the type `also` too."""
    path = f"{path}.content"
    content = row.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise bad_request("the content must be a string or a list of parts", path, "invalid_type")
    texts = []
    for index, part in enumerate(content):
        place = f"{path}[{index}]"
        if not isinstance(part, dict):
            raise bad_request("a part of the content must be an object", place, "invalid_type")
        kind = _string(part, "type", place)
        if kind != "text" and kind != also:
            raise bad_request(
                f"a part of the type {kind!r} cannot be read: the models of this server read text only", place
            )
        texts.append(_string(part, kind, place))
    return "".join(texts)


def _calls(row: Row, path: str) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    given = row.get("tool_calls")
    path = f"{path}.tool_calls"
    if given is None:
        return [], []
    if not isinstance(given, list):
        raise bad_request("the tool calls must be a list", path, "invalid_type")
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    seen: set[str] = set()
    for index, call in enumerate(given):
        place = f"{path}[{index}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or call.get("type", "function") != "function":
            raise bad_request("a tool call has an id, the type 'function', and a function", place)
        id_ = _string(call, "id", place)
        if id_ in seen:
            raise bad_request(f"two tool calls have the id {id_!r}", f"{place}.id")
        seen.add(id_)
        name = _string(function, "name", f"{place}.function")
        text = _string(function, "arguments", f"{place}.function")
        arguments = _arguments(text)
        if arguments is None:
            # A model wrote it, and may see what it wrote.
            invalid.append(
                InvalidToolCall(type="invalid_tool_call", name=name, args=text, id=id_, error="not a JSON object")
            )
        else:
            calls.append(ToolCall(name=name, args=arguments, id=id_))
    return calls, invalid


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        value = parse_json(text.encode() or b"{}")
    except RequestError:
        return None
    return value if isinstance(value, dict) else None


def _string(row: Row, key: str, path: str) -> str:
    value = row.get(key)
    if isinstance(value, str):
        return value
    if key not in row:
        raise bad_request(f"the parameter '{path}.{key}' is missing", f"{path}.{key}", "missing_required_parameter")
    raise bad_request(f"{key} must be a string", f"{path}.{key}", "invalid_type")


def _name(row: Row, path: str) -> str | None:
    return None if row.get("name") is None else _string(row, "name", path)
