"""Asking a server of vLLM's kind for token ids, reading them, and taking out what the client did not ask for.

vLLM takes `return_token_ids` and then gives `prompt_token_ids` on the response (on a stream: on its first chunk) and
`token_ids` on each choice. Its log-probabilities are the model's own, before temperature. Servers that do not know the
field ignore it or refuse it.
"""

from collections.abc import Collection
from typing import Any

from langgraph_ratchet.core.call import Fingerprint, Tokens

_ASKED = {"return_token_ids": True, "logprobs": True}


def ask_for_ids(body: dict[str, Any]) -> dict[str, Any]:
    """The request with what makes the server give token ids and their log-probabilities."""
    return {**body, **_ASKED}


def was_added(body: dict[str, Any]) -> frozenset[str]:
    """Which fields `ask_for_ids` adds to a request that its client did not ask for itself."""
    return frozenset(name for name in _ASKED if not body.get(name))


def without(added: Collection[str], response: dict[str, Any]) -> dict[str, Any]:
    """A response or chunk as it would be without the fields that were `added` to the request."""
    kept = dict(response)
    choices = [dict(choice) if isinstance(choice, dict) else choice for choice in kept.get("choices") or []]
    for choice in choices:
        if isinstance(choice, dict) and "return_token_ids" in added:
            choice.pop("token_ids", None)
        if isinstance(choice, dict) and "logprobs" in added and "logprobs" in choice:
            choice["logprobs"] = None
    if "choices" in kept:
        kept["choices"] = choices
    if "return_token_ids" in added:
        kept.pop("prompt_token_ids", None)
    return kept


def tokens_of(completion: dict[str, Any], choice: dict[str, Any], fingerprint: Fingerprint) -> Tokens | None:
    """The choice's exact tokens; `None` when the server gave no ids, or not a log-probability for each."""
    prompt_ids, ids = completion.get("prompt_token_ids"), choice.get("token_ids")
    content = (choice.get("logprobs") or {}).get("content")
    if not (isinstance(prompt_ids, list) and isinstance(ids, list) and isinstance(content, list)):
        return None
    try:
        logprobs = tuple(entry["logprob"] for entry in content)
        return Tokens(
            prompt_ids=tuple(prompt_ids), completion_ids=tuple(ids), logprobs=logprobs, fingerprint=fingerprint
        )
    except (TypeError, KeyError, ValueError):
        return None
