"""Keeps one run of each distinct path: copies teach nothing new, and would make a problem count more."""

import contextlib
from collections.abc import Iterable
from typing import Any

import orjson

from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.curation.rolled import Kept


def path_of(kept: Kept) -> str:
    """Identity of a path: the problem, and what each node replied, spacing and tool-call ids aside."""
    replies = [[call.node, _normalised(call.reply or {})] for call in kept.calls]
    return content_hash([kept.rolled.problem.id, replies])


def distinct(kept: Iterable[Kept]) -> dict[str, Kept]:
    """One run of each path, by path, sorted. Which one does not depend on the order they come in."""
    chosen: dict[str, Kept] = {}
    for item in in_order(kept):
        chosen.setdefault(path_of(item), item)
    return dict(sorted(chosen.items()))


def in_order(kept: Iterable[Kept]) -> list[Kept]:
    """The runs in an order that follows from what they are, not from how they came in."""
    return sorted(kept, key=_tokens_then_id)


def _tokens_then_id(kept: Kept) -> tuple[Any, ...]:
    # Trace ids differ from one rollout to the next; tokens do not, so the choice repeats with the seeds.
    tokens = [(call.tokens.prompt_ids, call.tokens.completion_ids) for call in kept.calls if call.tokens]
    return (kept.rolled.problem.id, tokens, kept.rolled.trace.id)


def _normalised(reply: dict[str, Any]) -> list[Any]:
    content = reply.get("content")
    text = content if isinstance(content, str) else content_hash(content)
    return [" ".join(text.split()), [_call(call.get("function", {})) for call in reply.get("tool_calls") or ()]]


def _call(function: dict[str, Any]) -> list[Any]:
    arguments = function.get("arguments")
    # OpenAI's shape keeps arguments as JSON text, in which spacing and order mean nothing.
    with contextlib.suppress(orjson.JSONDecodeError):
        arguments = orjson.loads(arguments) if isinstance(arguments, str) else arguments
    return [function.get("name"), arguments]
