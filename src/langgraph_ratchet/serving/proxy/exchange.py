"""A chat completion that passed the proxy: what was asked, what came, and how long it took."""

from dataclasses import dataclass
from typing import Any

from langgraph_ratchet.core.call import Call, CallKey, Fingerprint, Sampling, Usage
from langgraph_ratchet.core.ids import clean_json, clean_text, new_id
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.serving.proxy.token_ids import tokens_of

_NODE = "app"
"""Stands where a call of the reasoning graph names its node."""
_NO_TEXT = "(no text)"


@dataclass(frozen=True)
class Exchange:
    """One request and all that came of it."""

    body: dict[str, Any]
    """The client's request."""
    completion: dict[str, Any]
    """The response; of a stream, what its chunks add up to."""
    started_at: float
    """Unix time, seconds."""
    seconds: float
    error: str | None = None
    """Why the reply is not whole; `None` when it is."""
    run: str | None = None
    """What the client calls the run that this belongs to (`X-Ratchet-Run`); `None` when it did not say."""
    version: ModelVersion | None = None
    """The adapter that answered; `None` for a model that is not in the registry."""

    @property
    def model(self) -> str:
        """The model that answered, as the server calls it."""
        return str(self.completion.get("model") or self.body.get("model") or "unknown")

    @property
    def question(self) -> str:
        """Text of the last message by the user; of the last message at all when no user speaks."""
        messages = _objects(self.body.get("messages"))
        texts = [_text(message) for message in messages if message.get("role") == "user"]
        return (texts or [_text(message) for message in messages] or [_NO_TEXT])[-1] or _NO_TEXT

    @property
    def answers_tools(self) -> tuple[str, ...]:
        """Ids of the tool calls whose results the request ends with."""
        ids: list[str] = []
        for message in reversed(_objects(self.body.get("messages"))):
            if message.get("role") != "tool":
                break
            ids.append(str(message.get("tool_call_id")))
        return tuple(ids)

    @property
    def asks_for_tools(self) -> tuple[str, ...]:
        """Ids of the tool calls in the reply."""
        calls = [call for choice in self.choices for call in _objects(_message(choice).get("tool_calls"))]
        return tuple(str(call["id"]) for call in calls if call.get("id"))

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The replies."""
        return _objects(self.completion.get("choices"))

    @property
    def answer(self) -> str | None:
        """Text of the first reply; `None` when it has none."""
        return (_text(_message(self.choices[0])) or None) if self.choices else None

    @property
    def is_cut(self) -> bool:
        """Whether the first reply ended because it was as long as it may be."""
        return bool(self.choices) and self.choices[0].get("finish_reason") == "length"

    def calls(self, run_id: str, first_index: int, fingerprint: Fingerprint) -> list[Call]:
        """A call for each choice; one without a reply when there is none."""
        choices = self.choices or [{}]
        return [
            self._call(choice, CallKey(run_id=run_id, task_id=_NODE, index=first_index + place), fingerprint)
            for place, choice in enumerate(choices)
        ]

    def _call(self, choice: dict[str, Any], key: CallKey, fingerprint: Fingerprint) -> Call:
        tokens = tokens_of(self.completion, choice, fingerprint)
        usage = _usage(self.completion) if len(self.choices) == 1 else None
        if usage is None and tokens is not None:
            usage = Usage(input_tokens=len(tokens.prompt_ids), output_tokens=len(tokens.completion_ids))
        body = self.body
        return Call(
            id=new_id("call"),
            key=key,
            node=_NODE,
            messages=tuple(clean_json(_objects(body.get("messages")))),
            tools=tuple(clean_json(_objects(body.get("tools")))),
            reply=clean_json(_message(choice)) or None,
            sampling=Sampling(
                temperature=_number(body.get("temperature")),
                seed=_whole(body.get("seed")),
                max_tokens=_whole(body.get("max_completion_tokens") or body.get("max_tokens")),
            ),
            usage=usage,
            seconds=self.seconds,
            error=self.error and clean_text(self.error),
            tokens=tokens,
        )


def _message(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    return message if isinstance(message, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return clean_text(content)
    return clean_text("\n".join(part["text"] for part in _objects(content) if isinstance(part.get("text"), str)))


def _usage(completion: dict[str, Any]) -> Usage | None:
    usage = completion.get("usage")
    if not isinstance(usage, dict):
        return None
    given, produced = _whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens"))
    return None if given is None or produced is None else Usage(input_tokens=given, output_tokens=produced)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
