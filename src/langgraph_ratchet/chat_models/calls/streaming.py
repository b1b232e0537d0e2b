"""A reply in chunks, as it is written. Their sum is the message that `invoke` gives for the same seed.

Content, reasoning and tool calls come in chunks of their own; the last chunk has no text, but usage and metadata.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langgraph_ratchet.chat_models.calls.arrivals import aarrivals, arrivals
from langgraph_ratchet.chat_models.calls.call import Call
from langgraph_ratchet.chat_models.calls.reply import finish_reason, logprobs_of, metadata_of, usage_of
from langgraph_ratchet.chat_models.text.reader import Delta

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.engine import Completion, Token

_BESIDE_BLOCKS = 1 << 16
"""In messages of LangChain's version 1, blocks of text and calls are told apart by index; it numbers the former from 0
and leaves the latter as they are, so that theirs must lie elsewhere."""


def chunks(call: Call, *, blocks: bool = False) -> Generator[ChatGenerationChunk, None, None]:
    """The chunks of a call's first reply.

    Args:
        call: the call, not submitted yet.
        blocks: whether LangChain makes content blocks of the chunks.
    """
    writer = _ChunkWriter(call, blocks)
    with closing(arrivals(call)) as source:
        for came in source:
            yield from writer.chunks(came)


async def achunks(prepare: Callable[[], Call], *, blocks: bool = False) -> AsyncGenerator[ChatGenerationChunk, None]:
    """As `chunks`; `prepare` makes the call ready, in a thread."""
    writer: _ChunkWriter | None = None
    async with aclosing(aarrivals(prepare)) as source:  # left to itself, it would be closed some time later
        async for came in source:
            if isinstance(came, Call):
                writer = _ChunkWriter(came, blocks)
            elif writer is not None:
                for chunk in writer.chunks(came):
                    yield chunk


class _ChunkWriter:
    """Makes chunks of one completion."""

    def __init__(self, call: Call, blocks: bool) -> None:
        self._call = call
        self._reader = call.reader()
        self._first_call = _BESIDE_BLOCKS if blocks else 0
        self._untold: list[Token] = []
        """Tokens whose log-probabilities were not told yet."""
        self._seen = 0

    def chunks(self, came: "Sequence[Token] | Completion") -> list[ChatGenerationChunk]:
        """What is to be told of the next tokens, or at last of the whole completion."""
        if isinstance(came, Sequence):
            return self._of_tokens(came)
        from langgraph_ratchet.chat_models.engine import Token

        tops = came.tops or ((),) * len(came.ids)
        rest = [Token(*each) for each in list(zip(came.ids, came.logprobs, tops, strict=True))[self._seen :]]
        return [*self._of_tokens(rest), *self._end(came)]

    def _of_tokens(self, tokens: "Sequence[Token]") -> list[ChatGenerationChunk]:
        self._seen += len(tokens)
        self._untold += tokens
        return [self._chunk(delta) for delta in self._reader.feed([token.id for token in tokens])]

    def _end(self, completion: "Completion") -> list[ChatGenerationChunk]:
        call, reply = self._call, self._call.read(completion)
        told = [self._chunk(delta) for delta in self._reader.finish(reply)]
        reason = finish_reason(completion, reply)
        message = AIMessageChunk(
            content="",
            usage_metadata=usage_of(call, completion),
            response_metadata=metadata_of(call, completion, reason) | self._logprobs(),
            chunk_position="last",
        )
        return [*told, ChatGenerationChunk(message=message, generation_info={"finish_reason": reason})]

    def _chunk(self, delta: Delta) -> ChatGenerationChunk:
        calls = [delta.call] if delta.call else []
        message = AIMessageChunk(
            content=delta.content,
            additional_kwargs={"reasoning_content": delta.reasoning} if delta.reasoning else {},
            tool_call_chunks=[{**chunk, "index": (chunk["index"] or 0) + self._first_call} for chunk in calls],
            response_metadata=self._logprobs(),
        )
        return ChatGenerationChunk(message=message)

    def _logprobs(self) -> dict[str, Any]:
        tokens, self._untold = self._untold, []
        if not (self._call.arguments.sampling.logprobs and tokens):
            return {}
        ids, numbers, tops = zip(*((token.id, token.logprob, token.top) for token in tokens), strict=True)
        return {"logprobs": logprobs_of(self._call.base, ids, numbers, tops)}
