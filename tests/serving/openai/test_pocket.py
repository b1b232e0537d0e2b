"""The pocket model behind the server: what the SDK asks for is what the model does."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import openai
import pytest
from pydantic import BaseModel, Field

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue

QUESTION = "Tell me a story."
PARAMETERS = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "maxLength": 12},
        "mode": {"enum": ["exact", "rounded"]},
    },
    "required": ["expression", "mode"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "calculator", "description": "Computes.", "parameters": PARAMETERS}}
NO_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no"}}}
OTHER = {"type": "function", "function": {"name": "clock", "description": "Tells the time."}}


class Person(BaseModel):
    name: str = Field(max_length=8)
    age: int = Field(ge=0, le=120)


@pytest.fixture(scope="module")
def pocket() -> ChatTransformers:
    return ChatTransformers(model="pocket", device="cpu", max_tokens=32)


@pytest.fixture(scope="module")
def server(serving: Any, pocket: ChatTransformers) -> Iterator[Any]:
    with serving(create_app(Catalogue(base=pocket, reasoner=False))) as server:
        yield server


def ask(server: Any, text: str = QUESTION, **given: Any) -> Any:
    return server.chat(text, model="pocket", **given)


def text_of(chunks: Any, index: int = 0) -> str:
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    return "".join(choice.delta.content or "" for choice in choices if choice.index == index)


def test_it_says_what_the_model_says(server: Any, pocket: ChatTransformers) -> None:
    reply, expected = ask(server), pocket.invoke(QUESTION)
    assert reply.choices[0].message.content == expected.text
    assert reply.usage.prompt_tokens == expected.usage_metadata["input_tokens"]
    assert reply.usage.completion_tokens == expected.usage_metadata["output_tokens"]
    assert reply.system_fingerprint == f"fp_{pocket.base.fingerprint.base[:12]}"
    *pieces, usage = ask(server, stream=True, stream_options={"include_usage": True})
    assert text_of(pieces) == expected.text
    assert usage.usage == reply.usage


def test_sampling_is_repeatable_and_the_same_in_a_stream(server: Any) -> None:
    given = {"temperature": 1.4, "top_p": 0.95, "seed": 11, "n": 3, "max_tokens": 12}
    first, second = ([choice.message.content for choice in ask(server, **given).choices] for _ in range(2))
    assert first == second
    assert len(set(first)) > 1
    chunks = list(ask(server, **given, stream=True))
    assert [text_of(chunks, index).strip() for index in range(3)] == [text.strip() for text in first]
    assert first != [choice.message.content for choice in ask(server, **given | {"seed": 12}).choices]


def test_penalties_and_biases(server: Any, pocket: ChatTransformers) -> None:
    plain = ask(server, max_tokens=8)
    (first, *_) = ask(server, max_tokens=8, logprobs=True).choices[0].logprobs.content
    (id_, *_) = pocket.get_token_ids(first.token)
    changed = ask(server, max_tokens=8, logit_bias={str(id_): -100})
    assert changed.choices[0].message.content != plain.choices[0].message.content
    for name in ("presence_penalty", "frequency_penalty"):
        assert ask(server, max_tokens=8, **{name: 2}).choices[0].message.content is not None


def test_limits_and_stop(server: Any) -> None:
    plain = ask(server).choices[0].message.content
    short = ask(server, max_tokens=2)
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 2)
    assert ask(server, max_completion_tokens=2).choices[0] == short.choices[0]
    stop = plain[8:10]
    stopped = ask(server, stop=[stop, "§"])
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content == plain[: plain.index(stop)].strip()
    assert text_of(ask(server, stop=stop, stream=True)).strip() == stopped.choices[0].message.content


def test_logprobs(server: Any) -> None:
    (choice,) = ask(server, logprobs=True, top_logprobs=3, max_tokens=8).choices
    told = choice.logprobs.content
    assert b"".join(bytes(token.bytes) for token in told).decode(errors="replace").strip() == choice.message.content
    for token in told:
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob == max(top.logprob for top in token.top_logprobs) == token.logprob <= 0
    streamed = [
        each
        for chunk in ask(server, logprobs=True, top_logprobs=3, max_tokens=8, stream=True)
        if chunk.choices[0].logprobs
        for each in chunk.choices[0].logprobs.content
    ]
    assert [token.token for token in streamed] == [token.token for token in told]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "calculator"}}])
def test_a_tool_call_that_is_wanted_is_made_and_valid(server: Any, choice: Any) -> None:
    given = {"tools": [TOOL], "tool_choice": choice, "temperature": 1.5, "seed": 4, "parallel_tool_calls": False}
    reply = ask(server, "Hello!", **given).choices[0]
    (call,) = reply.message.tool_calls
    assert call.function.name == "calculator"
    assert jsonschema_rs.is_valid(PARAMETERS, json.loads(call.function.arguments))
    parts = [
        part
        for chunk in ask(server, "Hello!", **given, stream=True)
        for part in chunk.choices[0].delta.tool_calls or ()
    ]
    streamed = "".join(part.function.arguments or "" for part in parts)
    assert json.loads(streamed) == json.loads(call.function.arguments)
    assert [part.function.name for part in parts if part.function.name] == ["calculator"]
    assert {part.index for part in parts} == {0}


def test_tools_may_be_called_or_not(server: Any) -> None:
    assert not ask(server, tools=[TOOL], tool_choice="none").choices[0].message.tool_calls
    only = {"mode": "required", "tools": [{"type": "function", "function": {"name": "clock"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": only}
    (call, *_) = ask(server, tools=[TOOL, OTHER], tool_choice=choice).choices[0].message.tool_calls
    assert call.function.name == "clock"
    assert json.loads(call.function.arguments) == {}


def test_json_is_guaranteed(server: Any) -> None:
    for seed in range(3):
        given = {"temperature": 1.5, "seed": seed}
        parsed = server.openai.chat.completions.parse(
            model="pocket", messages=[{"role": "user", "content": "Who?"}], response_format=Person, **given
        )
        assert isinstance(parsed.choices[0].message.parsed, Person)
        any_object = ask(server, "Say something.", response_format={"type": "json_object"}, **given)
        assert isinstance(json.loads(any_object.choices[0].message.content), dict)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"messages": [{"role": "user", "content": "word " * 5_000}]}, "context"),
        ({"logit_bias": {"999999": 1}}, "999999"),
        ({"max_tokens": 3, "tools": [TOOL], "tool_choice": "required"}, "max_tokens"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no"}}}},
            "schema|type",
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "schema"),
    ],
    ids=["too long", "no such token", "no room for a call", "no schema", "schema missing"],
)
def test_what_the_model_cannot_do_is_a_400(server: Any, given: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        ask(server, **given)
