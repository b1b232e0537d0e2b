"""Streams: what comes, when, and that its sum is what `invoke` gives."""

import asyncio
import json
import random
import threading
import time

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from tests.chat_models.scripted_engine import ScriptedTransformers
from tests.chat_models.sums import logprobs, said, total

from langgraph_ratchet.chat_models.engine import Completion
from langgraph_ratchet.core.call import Tokens

THINKING_JSON = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "reasoning_content": {"open": "<think>", "close": "</think>", "content": "text"},
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>", "content": "text"},
    },
}
PIECES = (
    'So. |  |\n|<tool_call>|</tool_call>|calculator |{"expression": "1"}|{"expression": "1", "n": "7"}|{|}|"|\\|[1, 2]'
    '|{}|<|im_end|>|é|表|😀|<tool_|call>|STOP|ST|OP|<think>|</think>|{"name": "calculator", "arguments": '
    '|"parameters": |<tool_call>calculator {"expression":|calculator {"expression": "STOP é"}</tool_call>'
    '|\n<tool_call>{"name": "calculator", "arguments": {"expression": "1"}}</tool_call>'
    '|[{"name": "a", "arguments": {}}]|<tool_call>calculator {"expression": "1", "n": "2"}</tool_call>'
)


@tool
def calculator(expression: str, n: int = 1) -> str:
    """Calculates."""
    return expression


def token_by_token(model: ScriptedTransformers, whole: AIMessage, arguments: dict) -> str:
    """What is shown when each token is read by itself, however fast they come."""
    call = model._prepare([HumanMessage("?")], None, None, arguments)
    ids = tuple(whole.response_metadata["tokens"]["completion_ids"])
    reader, shown = call.reader(), ""
    for token in ids:
        shown += "".join(delta.content for delta in reader.feed([token]))
        assert whole.text.startswith(shown)
    rest = reader.finish(call.read(Completion(ids, (0.0,) * len(ids), cut=False)))
    return shown + "".join(delta.content for delta in rest)


def test_the_sum_of_a_stream_is_what_invoke_gives(model):
    for seed in range(24):
        hot = {"temperature": 1.0 + seed % 3, "seed": seed, "logprobs": seed % 2 == 0}
        if seed % 8 == 0:
            hot |= {"tools": [calculator], "tool_choice": "any", "max_tokens": 48}
        chunks, whole = list(model.stream(f"What is {seed}?", **hot)), model.invoke(f"What is {seed}?", **hot)
        assert said(total(chunks)) == said(whole)
        assert logprobs(total(chunks)).expected == logprobs(whole)
        assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
        assert all(chunk.usage_metadata is None for chunk in chunks[:-1])
        Tokens.model_validate(chunks[-1].response_metadata["tokens"])


@pytest.mark.parametrize("template", [None, THINKING_JSON], ids=["named", "json"])
def test_whatever_is_written_the_sum_is_what_invoke_gives(speaker, template, monkeypatch):
    """Calls, broken calls, thoughts, control tokens spelt by ordinary ones, stop texts: in any order."""
    written: list[int] = []
    model = speaker(written)
    tokenizer = model.base.tokenizer
    if template:
        monkeypatch.setattr(tokenizer, "response_template", template)
    draws, pieces = random.Random(7), PIECES.replace("<|im_end|>", "END").split("|")
    seen = set()
    for _ in range(120):
        written.clear()
        for piece in draws.choices([piece.replace("END", "<|im_end|>") for piece in pieces], k=draws.randint(1, 10)):
            parts = list(piece) if draws.random() < 0.15 else [piece]
            for part in parts:
                written += tokenizer.encode(part, add_special_tokens=False)
        arguments = {
            "stop": draws.choice([None, ["STOP"], ["OP", "}"], ["é"], [" "], ["<tool_call>"]]),
            "tools": draws.choice([None, [calculator]]),
            "tool_choice": draws.choice(["auto", "auto", "none"]),
            "max_tokens": draws.choice([200, 200, 7]),
            "parallel_tool_calls": draws.choice([True, True, False]),
            "logprobs": True,
        }
        whole, streamed = model.invoke("?", **arguments), total(model.stream("?", **arguments))
        assert said(streamed) == said(whole), (tokenizer.decode(written), arguments)
        assert token_by_token(model, whole, arguments) == whole.text
        seen |= {name for name in ("tool_calls", "invalid_tool_calls", "content") if getattr(whole, name)}
    assert seen == {"tool_calls", "invalid_tool_calls", "content"}


def test_text_comes_as_it_is_written(speaker):
    gate = threading.Semaphore(0)
    model = speaker("Hello world, é表!<|im_end|>", pace=gate.acquire)
    stream, text = model.stream("?"), ""
    for _ in range(3):
        gate.release()
    first = next(stream)
    assert 0 < len(first.text) < len("Hello world")
    text += first.text
    for _ in range(50):
        gate.release()
    chunks = [chunk.text for chunk in stream]
    assert text + "".join(chunks) == "Hello world, é表!"
    assert not any("\ufffd" in chunk for chunk in chunks)


def test_no_part_of_a_stop_text_is_shown(speaker):
    model = speaker("I ST STO STOP here<|im_end|>")
    chunks = [chunk.text for chunk in model.stream("?", stop=["STOP"])]
    assert "".join(chunks) == "I ST STO"
    assert total(model.stream("?", stop=["STOP"])).response_metadata["finish_reason"] == "stop"
    written = len(total(model.stream("?", stop=["STOP"])).response_metadata["tokens"]["completion_ids"])
    assert written < model.invoke("?").usage_metadata["output_tokens"]


def test_a_stop_text_in_a_tool_call_does_not_end_it(speaker):
    text = 'Go.<tool_call>calculator {"expression": "STOP"}</tool_call> Then STOP.<|im_end|>'
    message = total(speaker(text).stream("?", stop=["STOP"], tools=[calculator]))
    assert message.tool_calls[0]["args"] == {"expression": "STOP"}
    assert message.text == "Go. Then"


@pytest.mark.parametrize("version", [None, "v1"])
def test_a_call_comes_with_its_name_first_and_its_arguments_after_it(speaker, version):
    text = (
        'So.<tool_call>calculator {"expression": "1 + 1", "n": "7"}</tool_call>'
        '<tool_call>calculator {"expression": "2"}</tool_call> Done.<|im_end|>'
    )
    model = speaker(text, output_version=version, pace=lambda: time.sleep(0.002))
    chunks = list(model.stream("?", tools=[calculator]))
    calls = [chunk.tool_call_chunks[0] for chunk in chunks[:-1] if chunk.tool_call_chunks]
    first, second = sorted({call["index"] for call in calls})
    ours = [call for call in calls if call["index"] == first]
    assert (ours[0]["name"], bool(ours[0]["id"])) == ("calculator", True)
    assert [call["name"] for call in ours[1:]] == [None] * (len(ours) - 1)
    assert len(ours) > 1
    assert json.loads("".join(call["args"] for call in ours)) == {"expression": "1 + 1", "n": 7}  # cast to the schema
    assert "<tool_call>" not in str([chunk.content for chunk in chunks])
    message = total(chunks)
    assert [call["args"] for call in message.tool_calls] == [{"expression": "1 + 1", "n": 7}, {"expression": "2"}]
    assert message.text == "So. Done."
    assert second > first


@pytest.mark.parametrize("body", ['{"expression": "1 +', "{1+1}</tool_call>", "</tool_call>", '{"n": 1}{}</tool_call>'])
def test_half_a_call_is_never_taken_for_a_whole_one(speaker, body):
    message = total(speaker(f"<tool_call>calculator {body}<|im_end|>").stream("?", tools=[calculator]))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["name"] == "calculator"


def test_thoughts_come_apart(speaker, monkeypatch):
    model = speaker("<think>Hm, 表.</think>\n\nYes.<|im_end|>")
    monkeypatch.setattr(model.base.tokenizer, "response_template", THINKING_JSON)
    message = total(model.stream("?"))
    assert (message.text, message.additional_kwargs["reasoning_content"]) == ("Yes.", "Hm, 表.")


def endless(speaker, **fields) -> ScriptedTransformers:
    return speaker("word " * 150, max_tokens=10_000, pace=lambda: time.sleep(0.005), **fields)


def cancelled(model: ScriptedTransformers) -> bool:
    (request,) = model.scripted.requests
    deadline = time.monotonic() + 10
    while not request.future.cancelled() and time.monotonic() < deadline:
        time.sleep(0.01)
    return request.future.cancelled()


def test_a_consumer_that_leaves_cancels_the_request(speaker):
    model = endless(speaker)
    stream = model.stream("?")
    next(stream)
    stream.close()
    assert cancelled(model)


def test_an_error_in_the_consumer_cancels_the_request(speaker):
    model = endless(speaker)

    def consume() -> None:
        for _ in model.stream("?"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert cancelled(model)


async def test_a_cancelled_task_cancels_its_request(speaker):
    async def consume(model) -> None:
        async for _ in model.astream("?"):
            pass

    for wait_s in (0.0, 0.1):
        model = endless(speaker)
        _ = model.base
        task = asyncio.create_task(consume(model))
        await asyncio.sleep(wait_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if model.scripted.requests:
            assert await asyncio.to_thread(cancelled, model)


async def test_a_task_that_breaks_off_cancels_its_request(speaker):
    model = endless(speaker)
    async for _ in model.astream("?"):
        break
    await asyncio.sleep(0)
    assert await asyncio.to_thread(cancelled, model)


async def test_streams_in_an_event_loop_are_the_same(model):
    arguments = {"temperature": 1.0, "seed": 5}
    whole = [said(model.invoke(f"What is {at}?", **arguments)) for at in range(8)]

    async def consume(at: int) -> tuple:
        return said(total([chunk async for chunk in model.astream(f"What is {at}?", **arguments)]))

    assert await asyncio.gather(*map(consume, range(8))) == whole
