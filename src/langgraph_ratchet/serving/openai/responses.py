"""Chat models' replies as OpenAI's response objects and stream chunks."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from langgraph_ratchet.core.ids import clean_json
from langgraph_ratchet.serving.metrics import observation

if TYPE_CHECKING:  # a proxy streams as well, and has no models
    from langgraph_ratchet.serving.catalogue import Served

Body = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """What a response and every chunk of a stream begin with."""

    served: "Served"
    prefix: str
    """Of the response's id."""
    kind: str
    """`object` of the response."""
    id: str = field(init=False)
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.prefix}-{uuid.uuid4().hex}")

    def body(self, choices: list[Body], **more: Any) -> Body:
        """A response, or a chunk, with these choices."""
        return {
            "id": self.id,
            "object": self.kind,
            "created": self.created,
            "model": self.served.id,
            "system_fingerprint": self.served.fingerprint,
            "choices": choices,
            **more,
        }


def chat_response(served: "Served", replies: list[AIMessage]) -> Body:
    """A `chat.completion` with one choice for each reply."""
    body = Head(served, "chatcmpl", "chat.completion").body([_choice(*each) for each in enumerate(replies)])
    usage = add_usages(reply.usage_metadata for reply in replies)
    observation().usage(usage)
    return body | ({"usage": usage} if usage else {}) | extension(replies[0].response_metadata)


def _choice(index: int, reply: AIMessage) -> Body:
    calls = _calls(reply)
    text = str(reply.text)
    message: Body = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    if reasoning := reply.additional_kwargs.get("reasoning_content"):
        message["reasoning_content"] = reasoning
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs_of(reply.response_metadata),
        "finish_reason": finish_reason(reply.response_metadata, bool(calls)),
    }


def _calls(reply: AIMessage) -> list[Body]:
    """The reply's tool calls; one that could not be parsed has its arguments as the model wrote them."""
    called = [(call["name"], call["id"], orjson.dumps(clean_json(call["args"])).decode()) for call in reply.tool_calls]
    called += [(call["name"] or "", call["id"], call["args"] or "") for call in reply.invalid_tool_calls]
    return [
        {"id": id_ or new_call_id(), "type": "function", "function": {"name": name, "arguments": arguments}}
        for name, id_, arguments in called
    ]


def new_call_id() -> str:
    """An id for a tool call that its model gave none."""
    return f"call_{uuid.uuid4().hex[:24]}"


def finish_reason(metadata: Mapping[str, Any], called: bool) -> str:
    """Why a reply ended: as its model says, or as its content shows."""
    reason = metadata.get("finish_reason")
    return (
        reason if reason in ("stop", "length", "tool_calls", "content_filter") else "tool_calls" if called else "stop"
    )


def logprobs_of(metadata: Mapping[str, Any]) -> Body | None:
    """The log-probabilities of a reply's tokens, if they were asked for."""
    found = metadata.get("logprobs")
    return {"content": found.get("content"), "refusal": None} if found else None


def add_usages(usages: Iterable[UsageMetadata | None]) -> Body | None:
    """Tokens of several replies to one prompt, which is counted once; `None` when a model did not report them."""
    known = list(usages)
    if not known or any(usage is None for usage in known):
        return None
    found = [usage for usage in known if usage is not None]
    prompt, completion = found[0]["input_tokens"], sum(usage["output_tokens"] for usage in found)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def extension(metadata: Mapping[str, Any]) -> Body:
    """What a response has beyond OpenAI's fields: a reasoner's run."""
    return {"ratchet": metadata["ratchet"]} if "ratchet" in metadata else {}


class ChoiceStream:
    """One choice of a stream: turns a model's chunks into deltas, and remembers what its last chunk must say."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._called = False
        self._metadata: dict[str, Any] = {}
        self.usage: UsageMetadata | None = None

    def first(self) -> Body:
        """The choice that opens it."""
        return self._choice({"role": "assistant", "content": "", "refusal": None})

    def read(self, chunk: AIMessage) -> Body | None:
        """The choice for a chunk of the model's; `None` if it has nothing to show."""
        delta: Body = {}
        if text := str(chunk.text):
            delta["content"] = text
        if reasoning := chunk.additional_kwargs.get("reasoning_content"):
            delta["reasoning_content"] = reasoning
        if calls := self._calls(chunk):
            delta["tool_calls"] = calls
        self._called = self._called or bool(calls)
        self.usage = chunk.usage_metadata or self.usage
        metadata = chunk.response_metadata
        for name in ("finish_reason", "ratchet"):
            if name in metadata:
                self._metadata[name] = metadata[name]
        logprobs = logprobs_of(metadata)
        if not delta and not logprobs:
            return None
        return self._choice(delta) | ({"logprobs": logprobs} if logprobs else {})

    def last(self) -> Body:
        """The choice that says why it ended."""
        return {**self._choice({}), "finish_reason": finish_reason(self._metadata, self._called)}

    @property
    def extension(self) -> Body:
        """As the function of this name, for what has been read."""
        return extension(self._metadata)

    def _choice(self, delta: Body) -> Body:
        return {"index": self._index, "delta": delta, "finish_reason": None}

    def _calls(self, chunk: AIMessage) -> list[Body]:
        if isinstance(chunk, AIMessageChunk) and chunk.tool_call_chunks:
            return [
                _call_delta(part["index"] or 0, part["id"], part["name"], part["args"])
                for part in chunk.tool_call_chunks
            ]
        if isinstance(chunk, AIMessageChunk):
            return []
        # A model that does not stream gives its whole message at once.
        return [{"index": index, **call} for index, call in enumerate(_calls(chunk))]


def _call_delta(index: int, id_: str | None, name: str | None, arguments: str | None) -> Body:
    if name is None:
        return {"index": index, "function": {"arguments": arguments or ""}}
    function = {"name": name, "arguments": arguments or ""}
    return {"index": index, "id": id_ or new_call_id(), "type": "function", "function": function}


def dumps(body: Body) -> bytes:
    """`body` as JSON; a lone surrogate, which JSON in UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return orjson.dumps(clean_json(body))
