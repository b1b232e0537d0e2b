"""The chat model as LangChain users call it."""

import asyncio
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from tests.chat_models.scripted_engine import ScriptedTransformers

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.chat_models.text.render import render_prompt
from langgraph_ratchet.core.call import Tokens
from langgraph_ratchet.core.errors import BadInputError, ToolCallingError, UnknownNameError


@tool
def calculator(expression: str) -> str:
    """Calculates."""
    return expression


@pytest.fixture(scope="module")
def model(model_folder) -> ChatTransformers:
    return ChatTransformers(model=str(model_folder), device="cpu", max_tokens=24)


def tokens_of(message: AIMessage) -> Tokens:
    return Tokens.model_validate(message.response_metadata["tokens"])


def test_a_reply_says_all_that_is_known_of_it(model, base, model_folder):
    message = model.invoke([SystemMessage("Be brief."), HumanMessage("What is 1 + 1?")])
    tokens = tokens_of(message)
    assert tokens.fingerprint == base.fingerprint
    assert list(tokens.prompt_ids) == render_prompt(
        base.tokenizer, [SystemMessage("Be brief."), HumanMessage("What is 1 + 1?")]
    )
    assert len(tokens.completion_ids) == len(tokens.logprobs)
    assert message.usage_metadata == {
        "input_tokens": len(tokens.prompt_ids),
        "output_tokens": len(tokens.completion_ids),
        "total_tokens": len(tokens.prompt_ids) + len(tokens.completion_ids),
    }
    assert message.response_metadata["model_name"] == str(model_folder)
    assert message.response_metadata["model_version"] is None
    assert message.response_metadata["finish_reason"] in ("stop", "length")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_recorded_ids_give_the_recorded_logprobs(model, adapter_folders, unmerged, temperature):
    """An outsider's forward pass over the recorded ids, with the version that generated them, agrees."""
    names = [None, *map(str, adapter_folders)]
    with ThreadPoolExecutor(12) as pool:
        calls = [(at % 3, f"{'Why? ' * at}What is {at}?") for at in range(12)]
        messages = list(
            pool.map(lambda call: model.invoke(call[1], adapter=names[call[0]], temperature=temperature, seed=3), calls)
        )
    for (which, _), message in zip(calls, messages, strict=True):
        tokens = tokens_of(message)
        with torch.no_grad():
            ids = torch.tensor([[*tokens.prompt_ids, *tokens.completion_ids]])
            logits = unmerged[which](input_ids=ids).logits[0, len(tokens.prompt_ids) - 1 : -1]
        expected = [row[token].item() for row, token in zip(logits.log_softmax(-1), tokens.completion_ids, strict=True)]
        assert tokens.logprobs == pytest.approx(expected, abs=1e-4)
        assert (tokens.fingerprint.adapter is None) == (which == 0)


def test_the_same_seed_gives_the_same_reply_alone_or_in_a_crowd(model):
    questions = [f"What is {at} + {at}?" for at in range(32)]
    hot = model.bind(temperature=1.0, seed=5)
    alone = [tokens_of(hot.invoke(question)).completion_ids for question in questions]
    with ThreadPoolExecutor(32) as pool:
        crowd = [tokens_of(message).completion_ids for message in pool.map(hot.invoke, questions)]

    async def tasks() -> list:
        return await asyncio.gather(*(hot.ainvoke(question) for question in questions))

    awaited = [tokens_of(message).completion_ids for message in asyncio.run(tasks())]
    assert alone == crowd == awaited
    assert alone != [tokens_of(model.invoke(q, temperature=1.0, seed=6)).completion_ids for q in questions]


def test_without_a_seed_replies_differ(model):
    assert len({model.invoke("Say something.", temperature=1.0).text for _ in range(5)}) > 1


def test_streaming_batch_and_generate_give_the_same(model):
    whole = model.invoke("What is 1 + 1?")
    streamed = list(model.stream("What is 1 + 1?"))
    assert "".join(chunk.text for chunk in streamed) == whole.text
    assert tokens_of(streamed[-1]) == tokens_of(whole) or tokens_of(streamed[0]) == tokens_of(whole)
    assert [message.text for message in model.batch(["What is 1 + 1?"] * 3)] == [whole.text] * 3

    async def streaming() -> str:
        return "".join([chunk.text async for chunk in model.astream("What is 1 + 1?")])

    assert asyncio.run(streaming()) == whole.text


def test_finish_reasons(model):
    assert model.invoke("?", max_tokens=1).response_metadata["finish_reason"] == "length"
    requests = [{"temperature": 3.0, "seed": seed, "max_tokens": 400} for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda request: model.invoke("?", **request), requests))
    assert "stop" in {message.response_metadata["finish_reason"] for message in replies}


def test_stop_texts_end_the_reply(model):
    whole = model.invoke("What is 1 + 1?").text
    end = whole[len(whole) // 2 :][:2]
    stopped = model.invoke("What is 1 + 1?", stop=[end])
    assert stopped.text == whole[: whole.index(end)].strip()
    assert stopped.response_metadata["finish_reason"] == "stop"
    assert len(tokens_of(stopped).completion_ids) < len(tokens_of(model.invoke("What is 1 + 1?")).completion_ids)


def scripted(model, text: str) -> AIMessage:
    """The reply when the model happens to write `text`."""
    speaker = ScriptedTransformers(model=model.model, device="cpu", policy=lambda prompt: text)
    return speaker.invoke("?", tools=[calculator])


def test_tool_calls_are_read(model):
    message = scripted(model, 'So.<tool_call>calculator {"expression": "1+1"}</tool_call><|im_end|>')
    assert (message.text, message.tool_calls[0]["args"]) == ("So.", {"expression": "1+1"})
    assert message.response_metadata["finish_reason"] == "tool_calls"


def test_malformed_tool_calls_are_recorded_and_can_be_fed_back(model):
    message = scripted(model, "<tool_call>calculator {1+1}</tool_call><|im_end|>")
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["args"] == "{1+1}"
    assert message.response_metadata["finish_reason"] == "stop"
    again = model.invoke([HumanMessage("?"), message, HumanMessage("That could not be read.")])
    assert "{1+1}" in model.base.tokenizer.decode(tokens_of(again).prompt_ids)


def test_tools_are_offered_to_the_model(model):
    bound = model.bind_tools([calculator])
    prompt = model.base.tokenizer.decode(tokens_of(bound.invoke("?")).prompt_ids)
    assert "calculator(expression: string)" in prompt
    none = model.base.tokenizer.decode(tokens_of(bound.invoke("?", tool_choice="none")).prompt_ids)
    assert "calculator" not in none


def test_a_forged_turn_in_tool_output_is_only_text(model, forged, control_ids):
    call = {"name": "calculator", "args": {"expression": "1"}, "id": "1"}

    def prompt_ids(user: str, output: str) -> list[int]:
        messages = [HumanMessage(user), AIMessage("", tool_calls=[call]), ToolMessage(output, tool_call_id="1")]
        return list(tokens_of(model.invoke(messages, max_tokens=1)).prompt_ids)

    tokenizer = model.base.tokenizer
    clean, attacked = prompt_ids("x", "2"), prompt_ids(forged, forged)
    assert control_ids(attacked) == control_ids(clean)
    turn = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert attacked.count(turn) == clean.count(turn) == 4


def test_a_model_that_cannot_call_tools_says_so(model_folder, tokenizer, tmp_path):
    import copy
    import shutil

    folder = shutil.copytree(model_folder, tmp_path / "deaf")
    deaf = copy.deepcopy(tokenizer)
    deaf.chat_template = "{% for message in messages %}{{ message.content }}<|im_end|>{% endfor %}"
    deaf.save_pretrained(folder)
    model = ChatTransformers(model=str(folder), device="cpu", max_tokens=2)
    with pytest.raises(ToolCallingError, match="cannot call tools"):
        model.bind_tools([calculator])
    with pytest.raises(ToolCallingError, match="cannot call tools"):
        model.invoke("?", tools=[calculator])
    assert model.invoke("?").usage_metadata


def test_unknown_names_list_what_exists(model, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown model 'poket'; known: pocket, local:PATH"):
        ChatTransformers(model="poket").invoke("?")
    with pytest.raises(UnknownNameError, match="unknown model version 'v_1'; known: no model version exists yet"):
        ChatTransformers(model=model.model, adapter="v_1", registry=tmp_path).invoke("?")


def test_a_prompt_beyond_the_context_is_an_error(model):
    with pytest.raises(BadInputError, match="the context of .* is 512"):
        model.invoke("word " * 600)


def test_odd_text_is_no_trouble(model):
    for text in ("\ud800", "a\x00b", " ", "é表😀"):
        assert model.invoke(text, max_tokens=3).usage_metadata


def test_the_cache_key_tells_models_apart(model, adapter_folders):
    other = model.model_copy(update={"adapter": str(adapter_folders[0])})
    warm = model.model_copy(update={"temperature": 0.5})
    keys = {item._get_llm_string() for item in (model, other, warm)}
    assert len(keys) == 3


def test_langsmith_knows_the_model(model):
    params = model._get_ls_params(temperature=0.5)
    assert (params["ls_provider"], params["ls_model_name"], params["ls_temperature"]) == ("ratchet", model.model, 0.5)


async def test_the_event_loop_is_not_held_up(model_folder, adapter_folders):
    """LangGraph's development server refuses a graph that blocks its loop, with this very detector."""
    blockbuster = pytest.importorskip("blockbuster")

    fresh = ChatTransformers(model=f"local:{model_folder}", device="cpu", max_tokens=3, dtype="bfloat16")
    with blockbuster.blockbuster_ctx():
        first = await fresh.ainvoke("?", adapter=str(adapter_folders[0]))
        others = [chunk async for chunk in fresh.astream("?")]
    assert first.usage_metadata
    assert others


async def test_a_cancelled_task_leaves_the_engine_free(model):
    task = asyncio.create_task(model.ainvoke("?", temperature=1.0, max_tokens=450, seed=1))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await model.ainvoke("?")).usage_metadata


@pytest.mark.slow
def test_ctrl_c_reaches_a_waiting_caller(model_folder):
    """In a process of its own: the main thread waits for a slow call when the signal comes, and the process ends."""
    script = f"""
        import os, signal, sys, threading, time
        from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
        from langgraph_ratchet.chat_models.text import stops

        model = ChatTransformers(model={str(model_folder)!r}, device="cpu", max_tokens=2)
        model.invoke("?")
        stops.EndWatch.__call__ = lambda watch, ids: time.sleep(0.05) or False
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            model.invoke("?", max_tokens=400, stop=["never"])
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=110, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "interrupted"), done.stderr
    assert time.monotonic() - started < 100


def test_importing_and_constructing_need_no_torch(model_folder):
    script = f"""
        import sys
        from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
        ChatTransformers(model={str(model_folder)!r})
        assert "torch" not in sys.modules and "transformers" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=110)
