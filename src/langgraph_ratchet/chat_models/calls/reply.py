"""A completion to the message that LangChain gets: what it says, and all that is known about it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration

from langgraph_ratchet.chat_models.text.detokenizer import token_bytes
from langgraph_ratchet.chat_models.text.parse import ParsedReply

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.base import Base
    from langgraph_ratchet.chat_models.calls.call import Call
    from langgraph_ratchet.chat_models.engine import Completion


def generation(call: "Call", completion: "Completion") -> ChatGeneration:
    """The reply that a completion of `call` is."""
    reply = call.read(completion)
    reason = finish_reason(completion, reply)
    metadata = metadata_of(call, completion, reason)
    if call.arguments.sampling.logprobs:
        metadata["logprobs"] = logprobs_of(call.base, completion.ids, completion.logprobs, completion.tops)
    message = AIMessage(
        content=reply.content,
        tool_calls=list(reply.tool_calls),
        invalid_tool_calls=list(reply.invalid_tool_calls),
        additional_kwargs={"reasoning_content": reply.reasoning} if reply.reasoning else {},
        usage_metadata=usage_of(call, completion),
        response_metadata=metadata,
    )
    return ChatGeneration(message=message, generation_info={"finish_reason": reason})


def finish_reason(completion: "Completion", reply: ParsedReply) -> str:
    """Why the reply ended: "length", "tool_calls" or "stop"."""
    return "length" if completion.cut else "tool_calls" if reply.tool_calls else "stop"


def usage_of(call: "Call", completion: "Completion") -> UsageMetadata:
    """How many tokens the reply took."""
    read, wrote = len(call.prompt_ids), len(completion.ids)
    return UsageMetadata(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote)


def metadata_of(call: "Call", completion: "Completion", reason: str) -> dict[str, Any]:
    """The reply's `response_metadata`; `tokens` is `core.call.Tokens` as JSON."""
    adapter, fingerprint = call.adapter, call.base.fingerprint.model_dump()
    if adapter is not None:
        fingerprint["adapter"] = adapter.hash
    return {
        "model_name": call.arguments.model,
        "model_version": adapter.version if adapter else None,
        "finish_reason": reason,
        # Written out: to validate and dump thousands of numbers for each call would take longer than to read it.
        "tokens": {
            "prompt_ids": list(call.prompt_ids),
            "completion_ids": list(completion.ids),
            "logprobs": list(completion.logprobs),
            "fingerprint": fingerprint,
        },
    }


def logprobs_of(
    base: "Base",
    ids: Sequence[int],
    logprobs: Sequence[float],
    tops: Sequence[Sequence[tuple[int, float]]] = (),
) -> dict[str, Any]:
    """Log-probabilities in OpenAI's shape, the end of the turn left out.

    Args:
        base: the base model.
        ids: tokens that were chosen.
        logprobs: natural log of each.
        tops: the likeliest tokens at each place; empty where they were not asked for.
    """
    described = [
        _described(base, token, logprob) | {"top_logprobs": [_described(base, *top) for top in likeliest]}
        for token, logprob, likeliest in zip(ids, logprobs, tops or [()] * len(ids), strict=True)
        if token not in base.end_ids
    ]
    return {"content": described}


def _described(base: "Base", token: int, logprob: float) -> dict[str, Any]:
    written = token_bytes(base.tokenizer, token)
    # A part of a character is no text: it is shown as OpenAI does, by its bytes.
    return {"token": written.decode("utf-8", "backslashreplace"), "logprob": logprob, "bytes": list(written)}
