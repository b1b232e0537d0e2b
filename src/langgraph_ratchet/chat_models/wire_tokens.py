"""Token ids and log-probabilities as a vLLM-type server sends them with a reply, whole or in a stream.

vLLM gives `prompt_token_ids` with the response (in a stream, with its first chunk), `token_ids` with each choice (in a
stream, those of the chunk), and log-probabilities in OpenAI's form. A token without one has -9999.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from langgraph_ratchet.core.call import Fingerprint, Tokens
from langgraph_ratchet.core.errors import BadInputError

_NO_LOGPROB = -9999.0


@dataclass(frozen=True)
class WireTokens:
    """What a server has sent of a reply's tokens."""

    prompt_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    logprobs: tuple[float | None, ...] | None = None
    counted: int | None = None
    """Tokens that the server says it generated."""
    choices: int = 1
    """Replies that the ids are of."""

    @classmethod
    def of_choices(cls, response: Mapping[str, Any]) -> "list[WireTokens]":
        """The tokens of each choice of a whole response."""
        choices: Sequence[Mapping[str, Any]] = response["choices"]
        parts = [cls._of(response, choice) for choice in choices]
        others = sum(len(part.completion_ids or ()) for part in parts)
        counted = _counted(response)
        # The server counts all choices together.
        rest = [None if counted is None else counted - others + len(part.completion_ids or ()) for part in parts]
        return [replace(part, counted=count) for part, count in zip(parts, rest, strict=True)]

    @classmethod
    def of_chunk(cls, chunk: Mapping[str, Any]) -> "WireTokens":
        """What one chunk of a stream adds."""
        choices: Sequence[Mapping[str, Any]] = chunk.get("choices") or ()
        part = cls._of(chunk, choices[0] if choices else {})
        several = max((int(choice.get("index") or 0) for choice in choices), default=0) + 1
        return replace(part, counted=_counted(chunk), choices=several)

    @classmethod
    def joined(cls, parts: "Sequence[WireTokens]") -> "WireTokens":
        """The tokens of a stream from those of its chunks."""
        ids = [part.completion_ids for part in parts if part.completion_ids is not None]
        logprobs = [part.logprobs for part in parts if part.logprobs is not None]
        return cls(
            prompt_ids=next((part.prompt_ids for part in parts if part.prompt_ids is not None), None),
            completion_ids=sum(ids, ()) if ids else None,
            logprobs=sum(logprobs, ()) if logprobs else None,
            counted=next((part.counted for part in reversed(parts) if part.counted is not None), None),
            choices=max((part.choices for part in parts), default=1),
        )

    @property
    def missing(self) -> str | None:
        """Why the reply's very tokens are not known; `None` if they are."""
        ids, logprobs = self.completion_ids, self.logprobs
        if self.prompt_ids is None or ids is None:
            return "the server gives no token ids: it knows no return_token_ids (vLLM does from version 0.10.2)"
        if self.choices > 1:
            return "one stream gives several replies, which are not told apart"
        if logprobs is None and ids:
            return "the server gives no log-probabilities"
        if len(ids) != len(logprobs or ()):
            return "the server does not give one log-probability for each token id"
        if any(value is None or not math.isfinite(value) or value <= _NO_LOGPROB for value in logprobs or ()):
            return "the server gives no log-probability for some tokens"
        if self.counted != len(ids):
            # Older versions of vLLM leave tokens out of streams with tool calls, and their log-probabilities too.
            return "the server does not give all token ids that it counts, or does not count them (stream_usage)"
        return None

    def tokens(self, fingerprint: Fingerprint) -> Tokens:
        """The tokens of a reply of which nothing is missing."""
        return Tokens(
            prompt_ids=self.prompt_ids or (),
            completion_ids=self.completion_ids or (),
            logprobs=tuple(value for value in self.logprobs or () if value is not None),
            fingerprint=fingerprint,
        )

    @classmethod
    def _of(cls, response: Mapping[str, Any], choice: Mapping[str, Any]) -> "WireTokens":
        content = (choice.get("logprobs") or {}).get("content")
        logprobs = None if content is None else tuple(_number(entry.get("logprob")) for entry in content)
        return cls(_ids(response.get("prompt_token_ids")), _ids(choice.get("token_ids")), logprobs)


def server_url(url: str) -> str:
    """The address of a server's OpenAI interface, with `/v1`, from an address with or without.

    Raises:
        BadInputError: it is no address, or holds what does not belong into one.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        parts, known = urlsplit(""), None
    if not known:
        raise BadInputError(f"{url!r} is not the address of a server: give one like http://localhost:8000/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadInputError(
            f"the address of a server at {parts.hostname} holds a user, a query or a fragment: give only scheme, host, "
            "port and path, and the key by VLLM_API_KEY or api_key"
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/v1') else path + '/v1'}"


def _ids(value: Any) -> tuple[int, ...] | None:
    fits = isinstance(value, list) and all(isinstance(token, int) and not isinstance(token, bool) for token in value)
    return tuple(value) if fits else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _counted(response: Mapping[str, Any]) -> int | None:
    counted = (response.get("usage") or {}).get("completion_tokens")
    return counted if isinstance(counted, int) else None
