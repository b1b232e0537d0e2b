"""Answers on their way from the server to the client: passed on, or watched for what a stream adds up to."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from langgraph_ratchet.serving.metrics import observation
from langgraph_ratchet.serving.openai.errors import RequestError
from langgraph_ratchet.serving.proxy.assembly import Assembly
from langgraph_ratchet.serving.proxy.events import EventCutter, event_of, json_of
from langgraph_ratchet.serving.proxy.token_ids import without

_MOST_BYTES = 64 << 20
"""Of a stream that is put together; what comes later is passed on and not kept."""

GONE = "the client went away before the reply was whole"
UNFINISHED = "the server ended the stream before the reply was whole"


class Passage(StreamingResponse):
    """Passes an answer's body on as it comes; the server is left when the client goes away."""

    def __init__(self, answer: httpx.Response, headers: dict[str, str]) -> None:
        super().__init__(self._pieces(), answer.status_code, headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):  # whatever cancelled this, the server must learn of it
                await self._answer.aclose()

    async def _pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.aiter_bytes():
            yield piece


class Relay(Passage):
    """Passes a stream of events on; when the client goes away, the server is left too.

    Args:
        answer: the server's, its body unread; it is closed here.
        headers: of the response.
        added: fields of the request that the client did not ask for, whose traces are taken out of every event. When
            there are none, bytes are passed on as they come, whatever they are.
        on_end: called once with what came, and why that is not all (`None` when it is).
    """

    def __init__(
        self,
        answer: httpx.Response,
        headers: dict[str, str],
        *,
        added: frozenset[str],
        on_end: Callable[[dict[str, Any], str | None], None],
    ) -> None:
        super().__init__(answer, headers)
        self._added = added
        self._on_end = on_end
        self._assembly = Assembly()
        self._error: str | None = GONE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            completion = self._assembly.completion
            observe(completion)
            self._on_end(completion, self._error)

    async def _pieces(self) -> AsyncIterator[bytes]:
        cutter = EventCutter()
        size = 0
        try:
            async for piece in self._answer.aiter_bytes():
                size += len(piece)
                events = cutter.feed(piece) if size <= _MOST_BYTES or self._added else []
                chunks = [self._watched(event) for event in events]
                if not self._added:
                    yield piece
                elif chunks:
                    yield b"".join(chunks)
        except httpx.TransportError as error:
            self._error = f"the server broke off: {type(error).__name__}"
            broken = RequestError(502, self._error, code="upstream_broke_off")
            yield event_of(broken.body)
            return
        if self._added and (rest := cutter.rest()):
            yield rest
        self._error = None if self._assembly.is_whole or size > _MOST_BYTES else UNFINISHED

    def _watched(self, event: bytes) -> bytes:
        """The event as the client gets it."""
        chunk = json_of(event)
        if chunk is None:
            return event
        self._assembly.add(chunk)
        if _has_text(chunk):
            observation().first_token()
        return event_of(without(self._added, chunk)) if self._added else event


def observe(completion: dict[str, Any]) -> None:
    """Tells the metrics of a completion's tokens: as the server counted them, else as their ids show."""
    usage = completion.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    ids = [choice.get("token_ids") or [] for choice in completion.get("choices") or [] if isinstance(choice, dict)]
    given, produced = usage.get("prompt_tokens"), usage.get("completion_tokens")
    observation().usage(
        {
            "prompt_tokens": given if isinstance(given, int) else len(completion.get("prompt_token_ids") or []),
            "completion_tokens": produced if isinstance(produced, int) else sum(map(len, ids)),
        }
    )


def _has_text(chunk: dict[str, Any]) -> bool:
    choices = chunk.get("choices")
    deltas = (
        [choice.get("delta") for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    )
    return any(isinstance(delta, dict) and any(delta.get(name) for name in delta if name != "role") for delta in deltas)
