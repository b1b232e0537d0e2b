"""`/v1/chat/completions` as the `openai` SDK uses it: every parameter that it documents, at once and as a stream."""

import asyncio
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
        "strict": True,
    },
}
SHOUT = {"type": "function", "function": {"name": "shout", "description": "", "parameters": {"type": "object"}}}
CALL = {"name": "add", "args": {"a": 1, "b": 2}, "id": "call_1"}
LOGPROB = {"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "out", "schema": {"type": "object"}, "strict": True}}


def test_the_reply_and_its_frame(server: Any) -> None:
    reply = server.chat("two words")
    (choice,) = reply.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert (choice.message.role, choice.message.content, choice.message.refusal) == ("assistant", "two words", None)
    assert (reply.model, reply.object, reply.id[:9]) == ("scripted", "chat.completion", "chatcmpl-")
    assert reply.system_fingerprint.startswith("fp_")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (1, 2, 3)


GIVEN_AND_PASSED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 1.5}, {"temperature": 1.5}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"top_p": 0}, {"top_p": 1e-6}),
    ({"presence_penalty": -2}, {"presence_penalty": -2.0}),
    ({"frequency_penalty": 0.25}, {"frequency_penalty": 0.25}),
    ({"logit_bias": {"17": -100, "4": 3.5}}, {"logit_bias": {17: -100.0, 4: 3.5}}),
    ({"seed": -(2**63)}, {"seed": -(2**63)}),
    ({"max_tokens": 7}, {"max_tokens": 7}),
    ({"max_completion_tokens": 8}, {"max_tokens": 8}),
    ({"max_completion_tokens": 8, "max_tokens": 8}, {"max_tokens": 8}),
    ({"stop": "."}, {"stop": ["."]}),
    ({"stop": [".", "!"]}, {"stop": [".", "!"]}),
    ({"logprobs": True}, {"logprobs": True, "top_logprobs": 0}),
    ({"logprobs": True, "top_logprobs": 20}, {"logprobs": True, "top_logprobs": 20}),
    ({"tools": [ADD]}, {"tools": [ADD]}),
    ({"tools": [ADD], "tool_choice": "none"}, {"tools": [ADD], "tool_choice": "none"}),
    ({"tools": [ADD], "tool_choice": "auto"}, {"tools": [ADD], "tool_choice": "auto"}),
    ({"tools": [ADD], "tool_choice": "required"}, {"tools": [ADD], "tool_choice": "required"}),
    (
        {"tools": [ADD, SHOUT], "tool_choice": {"type": "function", "function": {"name": "add"}}},
        {"tools": [ADD, SHOUT], "tool_choice": {"type": "function", "function": {"name": "add"}}},
    ),
    (
        {
            "tools": [ADD, SHOUT],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "shout"}}]},
            },
        },
        {"tools": [SHOUT], "tool_choice": "required"},
    ),
    ({"tools": [ADD], "parallel_tool_calls": False}, {"tools": [ADD], "parallel_tool_calls": False}),
    ({"tools": []}, {}),
    ({"response_format": {"type": "text"}}, {}),
    ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ({"response_format": SCHEMA}, {"response_format": SCHEMA}),
    # Hints, and who asks: taken, and without effect.
    ({"user": "u"}, {}),
    ({"safety_identifier": "u"}, {}),
    ({"metadata": {"a": "b"}}, {}),
    ({"service_tier": "auto"}, {}),
    ({"store": False}, {}),
    ({"prompt_cache_key": "k"}, {}),
    ({"prompt_cache_retention": "24h"}, {}),
    ({"reasoning_effort": "low"}, {}),
    ({"verbosity": "low"}, {}),
    ({"prediction": {"type": "content", "content": "x"}}, {}),
    ({"modalities": ["text"]}, {}),
    # Null is as good as nothing.
    ({"temperature": None, "n": None, "stop": None, "seed": None, "tools": None, "logprobs": None, "stream": None}, {}),
]


@pytest.mark.parametrize(("given", "passed"), GIVEN_AND_PASSED, ids=lambda value: ",".join(value) or "nothing")
def test_every_parameter_reaches_the_model(server: Any, script: Any, given: Any, passed: Any) -> None:
    server.chat(**given)
    if "stream" not in given:
        list(server.chat(**given, stream=True))
    for _, kwargs in script.asked:
        assert kwargs == passed


def test_n_gives_as_many_choices(server: Any, script: Any) -> None:
    texts = iter("abcdef")
    script.reply = lambda messages, kwargs: AIMessage(next(texts))
    assert [choice.message.content for choice in server.chat(n=3).choices] == ["a", "b", "c"]
    chunks = [chunk.choices[0] for chunk in server.chat(n=3, seed=5, stream=True)]
    said = {index: "".join(each.delta.content or "" for each in chunks if each.index == index) for index in range(3)}
    assert said == {0: "d", 1: "e", 2: "f"}
    assert [choice.finish_reason for choice in chunks].count("stop") == 3
    # With one seed for all of them, a sampled model would say the same three times.
    assert len({kwargs["seed"] for _, kwargs in script.asked[-3:]}) == 3


def test_messages_reach_the_model(server: Any, script: Any) -> None:
    server.chat(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Very "}, {"type": "text", "text": "brief."}]},
            {"role": "user", "content": "1 + 2?", "name": "Ann"},
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a":1,"b":2}'}},
                    {"id": "y", "type": "function", "function": {"name": "add", "arguments": '{"a":'}},
                ],
            },
            {"role": "tool", "tool_call_id": "y", "content": "no JSON"},
            {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "3"}]},
            {"role": "assistant", "content": "3.", "reasoning_content": "easy"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "user", "content": "Sure?"},
        ]
    )
    (messages, _), *_ = script.asked
    system, developer, user, called, failed, result, said, refused, last = messages
    assert (system, developer) == (SystemMessage("Be brief."), SystemMessage("Very brief."))
    assert user == HumanMessage("1 + 2?", name="Ann")
    assert [(call["name"], call["args"], call["id"]) for call in called.tool_calls] == [("add", {"a": 1, "b": 2}, "x")]
    assert [(call["name"], call["args"], call["id"]) for call in called.invalid_tool_calls] == [("add", '{"a":', "y")]
    assert (failed, result) == (ToolMessage("no JSON", tool_call_id="y"), ToolMessage("3", tool_call_id="x"))
    assert (said.content, said.additional_kwargs["reasoning_content"]) == ("3.", "easy")
    assert (refused.content, last.content) == ("No.", "Sure?")


def test_a_conversation_with_tools_goes_round(server: Any, script: Any) -> None:
    script.says(AIMessage("", tool_calls=[CALL, {**CALL, "id": None}]))
    choice = server.chat("1 + 2?", tools=[ADD]).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    first, second = choice.message.tool_calls
    assert (first.id, first.function.name, first.function.arguments) == ("call_1", "add", '{"a":1,"b":2}')
    assert second.id.startswith("call_")
    results = [{"role": "tool", "tool_call_id": call.id, "content": "3"} for call in (first, second)]
    script.says("3.")
    # As a program does it: what came is sent back as it is.
    again = server.chat(messages=[{"role": "user", "content": "1 + 2?"}, choice.message, *results], tools=[ADD])
    assert again.choices[0].message.content == "3."
    assert [call["id"] for call in script.asked[-1][0][1].tool_calls] == [first.id, second.id]


def test_a_call_that_cannot_be_read_is_passed_on_as_it_was_written(server: Any, script: Any) -> None:
    broken = {"name": "add", "args": '{"a":', "id": "call_9", "error": "?", "type": "invalid_tool_call"}
    script.says(AIMessage("", invalid_tool_calls=[broken]))
    (call,) = server.chat(tools=[ADD]).choices[0].message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_9", "add", '{"a":')


def test_what_a_model_reports_is_passed_on(server: Any, script: Any) -> None:
    metadata = {"finish_reason": "length", "logprobs": {"content": [LOGPROB]}}
    kwargs = {"reasoning_content": "Hm."}
    script.says(AIMessage("hi", additional_kwargs=kwargs, response_metadata=metadata))
    reply = server.chat(logprobs=True)
    assert (reply.choices[0].finish_reason, reply.choices[0].message.reasoning_content) == ("length", "Hm.")
    assert reply.choices[0].logprobs.content[0].model_dump() == LOGPROB
    assert reply.usage is None  # it did not say
    *_, shown, last = server.chat(logprobs=True, stream=True)
    assert shown.choices[0].logprobs.content[0].model_dump() == LOGPROB
    assert shown.choices[0].delta.reasoning_content == "Hm."
    assert last.choices[0].finish_reason == "length"


def test_a_stream_says_what_one_answer_says(server: Any, script: Any) -> None:
    script.says(AIMessage("I  add\nthem. ", tool_calls=[CALL], usage_metadata=None))
    with server.openai.chat.completions.stream(
        model="scripted", messages=[{"role": "user", "content": "?"}], tools=[ADD]
    ) as stream:
        whole = stream.get_final_completion().choices[0]
    at_once = server.chat(tools=[ADD]).choices[0]
    assert whole.finish_reason == at_once.finish_reason == "tool_calls"
    assert whole.message.content == at_once.message.content == "I  add\nthem. "
    (streamed,), (called,) = whole.message.tool_calls, at_once.message.tool_calls
    assert streamed.function.arguments == called.function.arguments
    assert (streamed.id, streamed.function.name) == (called.id, called.function.name)


def test_a_stream_comes_in_order(server: Any) -> None:
    chunks = list(server.chat("three little words", stream=True, stream_options={"include_usage": True}))
    opening, *middle, closing, usage = chunks
    assert (opening.choices[0].delta.role, opening.choices[0].delta.content) == ("assistant", "")
    assert [chunk.choices[0].delta.content for chunk in middle] == ["three", " little", " words"]
    assert (closing.choices[0].finish_reason, closing.usage) == ("stop", None)
    assert (usage.choices, usage.usage.completion_tokens, usage.usage.prompt_tokens) == ([], 3, 1)
    assert len({chunk.id for chunk in chunks}) == len({chunk.created for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in server.chat(stream=True))
    raw = server.post("/chat/completions", json={"model": "scripted", "messages": [], "stream": True})
    assert raw.status_code == 400
    asked = {"model": "scripted", "messages": [{"role": "user", "content": "x"}], "stream": True}
    raw = server.post("/chat/completions", json=asked)
    assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert raw.text.endswith("data: [DONE]\n\n")


async def test_the_async_client(server: Any) -> None:
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client:

        async def ask(index: int) -> str | None:
            messages: Any = [{"role": "user", "content": str(index)}]
            reply = await client.chat.completions.create(model="scripted", messages=messages)
            stream = await client.chat.completions.create(model="scripted", messages=messages, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            assert text == reply.choices[0].message.content
            return text

        assert await asyncio.gather(*map(ask, range(20))) == [str(index) for index in range(20)]


def test_models(server: Any) -> None:
    models = list(server.openai.models.list())
    assert [model.id for model in models] == ["scripted", "reasoner"]
    assert server.openai.models.retrieve("scripted") == models[0]
    with pytest.raises(openai.NotFoundError, match="known: scripted, reasoner") as missing:
        server.openai.models.retrieve("gpt/5")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")


def test_the_contract_notices_an_answer_that_is_not_as_described(contract: Any) -> None:
    good = {"error": {"message": "", "type": "", "param": None, "code": None}}
    check = contract.Contract()
    assert check.faults("ErrorResponse", good) == []
    assert check.faults("ErrorResponse", {"detail": "FastAPI says it so"})
    assert check.faults("CreateChatCompletionResponse", {"id": "x", "choices": []})
