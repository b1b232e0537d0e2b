"""What a stream sums to, and what a message says."""

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk


def total(chunks) -> AIMessageChunk:
    whole, *rest = chunks
    for chunk in rest:
        whole += chunk
    return whole


def said(message: AIMessage) -> tuple:
    """All that a message says but log-probabilities; of malformed calls only how many there are."""
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    metadata = dict(message.response_metadata)
    told = [(entry["token"], entry["bytes"]) for entry in metadata.pop("logprobs", {"content": []})["content"]]
    metadata["tokens"] = {name: value for name, value in metadata["tokens"].items() if name != "logprobs"}
    extra = (message.additional_kwargs, message.usage_metadata, metadata, told)
    return message.content, calls, len(message.invalid_tool_calls), *extra


def logprobs(message: AIMessage) -> object:
    """Rounding depends on what else is in the batch."""
    told = message.response_metadata.get("logprobs", {"content": []})["content"]
    return pytest.approx(
        [*message.response_metadata["tokens"]["logprobs"], *(entry["logprob"] for entry in told)], abs=1e-4
    )
