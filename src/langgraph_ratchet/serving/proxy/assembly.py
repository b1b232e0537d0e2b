"""A streamed chat completion put together again: its chunks added up to what the server would have sent unstreamed."""

from typing import Any

_TEXTS = ("content", "refusal", "reasoning", "reasoning_content")
"""Fields of a message that come in pieces of text; the last two are how different servers call the same."""


class Assembly:
    """Adds chunks up, one after another. A chunk that is not as it should be is left out: this only watches."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}
        self._whole: dict[str, Any] = {}

    def add(self, chunk: dict[str, Any]) -> None:
        """Takes in one chunk."""
        for name in ("id", "model", "created", "usage", "prompt_token_ids"):
            if chunk.get(name) is not None:
                self._whole[name] = chunk[name]
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict) and isinstance(choice.get("index"), int):
                self._add_choice(choice)

    @property
    def is_whole(self) -> bool:
        """Whether every choice that began has come to its end."""
        return bool(self._choices) and all(choice["finish_reason"] for choice in self._choices.values())

    @property
    def completion(self) -> dict[str, Any]:
        """What has come so far, in the shape of an unstreamed completion."""
        return {**self._whole, "choices": [self._choices[index] for index in sorted(self._choices)]}

    def _add_choice(self, given: dict[str, Any]) -> None:
        new = {"index": given["index"], "message": {"role": "assistant", "content": None}, "finish_reason": None}
        choice = self._choices.setdefault(given["index"], new)
        if given.get("finish_reason") is not None:
            choice["finish_reason"] = given["finish_reason"]
        if isinstance(delta := given.get("delta"), dict):
            _add_delta(choice["message"], delta)
        if isinstance(ids := given.get("token_ids"), list):
            choice.setdefault("token_ids", []).extend(ids)
        logprobs = given.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            choice.setdefault("logprobs", {"content": []})["content"].extend(logprobs["content"])


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in _TEXTS:
        if isinstance(piece := delta.get(name), str):
            message[name] = (message.get(name) or "") + piece
    calls = delta.get("tool_calls")
    for given in calls if isinstance(calls, list) else []:
        if isinstance(given, dict) and isinstance(given.get("index"), int):
            _add_tool_call(message.setdefault("tool_calls", []), given)


def _add_tool_call(calls: list[dict[str, Any]], given: dict[str, Any]) -> None:
    """Adds to the call at the piece's index; indices come in order, so a new one is the next."""
    if given["index"] >= len(calls):
        calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[min(given["index"], len(calls) - 1)]
    call["id"] = given.get("id") or call["id"]
    function = given.get("function")
    for name in ("name", "arguments"):
        if isinstance(function, dict) and isinstance(function.get(name), str):
            call["function"][name] += function[name]
