"""Writes what a model is pre-trained on: token ids with their loss mask, as flat arrays."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, convert_to_messages

from langgraph_ratchet.chat_models.text.render import render_reply
from langgraph_ratchet.core.call import Call
from langgraph_ratchet.synthesis.copying import Exercise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEMONSTRATION, COPY_PRACTICE = 0, 1


def as_exercise(call: Call) -> Exercise:
    """A recorded call as something to learn: what was sent, and what was replied."""
    reply = convert_to_messages([call.reply or {}])[0]
    assert isinstance(reply, AIMessage), "a demonstrator never fails, so every call has a reply"
    return Exercise(convert_to_messages(list(call.messages)), list(call.tools), reply)


def texts(exercises: Iterable[Exercise]) -> Iterator[str]:
    """What a tokenizer learns its merges from: the texts, without the turns."""
    for exercise in exercises:
        yield from (str(message.text) for message in exercise.messages)
        for tool in exercise.tools:
            arguments = tool["function"]["parameters"]["properties"].items()
            yield "Tools:\n" + ", ".join(f"{name}: {schema['type']}" for name, schema in arguments)
        yield str(exercise.reply.text)
        for call in exercise.reply.tool_calls:
            yield f"{call['name']} " + ", ".join(f'{{"{key}": "{value}"}}' for key, value in call["args"].items())


def write_corpus(
    folder: Path, tokenizer: "PreTrainedTokenizerBase", parts: Sequence[tuple[int, Iterable[Exercise]]]
) -> dict[str, Any]:
    """Renders exercises and writes `ids.npy`, `mask.npy`, `offsets.npy` and `kind.npy` (see `training.pretrain`).

    Args:
        folder: made if needed.
        tokenizer: the model's, with its chat template.
        parts: (`DEMONSTRATION` or `COPY_PRACTICE`, exercises).

    Returns:
        Counts of samples, tokens and tokens under the loss.
    """
    import numpy as np

    ids: list[int] = []
    mask: list[int] = []
    offsets, kinds = [0], []
    for kind, exercises in parts:
        for exercise in exercises:
            prompt, completion = render_reply(tokenizer, exercise.messages, exercise.tools or None, exercise.reply)
            ids += prompt + completion
            mask += [0] * len(prompt) + [1] * len(completion)
            offsets.append(len(ids))
            kinds.append(kind)
    folder.mkdir(parents=True, exist_ok=True)
    for name, values, dtype in (
        ("ids", ids, np.uint16),
        ("mask", mask, np.uint8),
        ("offsets", offsets, np.int64),
        ("kind", kinds, np.uint8),
    ):
        np.save(folder / f"{name}.npy", np.asarray(values, dtype=dtype))
    return {"samples": len(kinds), "tokens": len(ids), "learned_tokens": sum(mask)}
