"""Requests that cannot be answered: each gets a 4xx in OpenAI's shape that names what is wrong."""

import json
import socket
from typing import Any

import openai
import pytest

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.errors import (
    BadInputError,
    CorruptFileError,
    GenerationError,
    MissingExtraError,
    OverloadedError,
)
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue
from langgraph_ratchet.serving.limits import Limits

USER = {"role": "user", "content": "hello"}
CALLS = {
    "role": "assistant",
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "1"}
TOOL = {"type": "function", "function": {"name": "f"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}

REFUSED: list[tuple[dict[str, Any], str | None]] = [
    ({"n": 10**9}, "n"),
    ({"n": 17}, "n"),
    ({"n": 0}, "n"),
    ({"n": 1.0}, "n"),
    ({"n": "1"}, "n"),
    ({"n": True}, "n"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 10**30}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, None),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"frequency_penalty": -3}, "frequency_penalty"),
    ({"logit_bias": {"a": 1}}, "logit_bias"),
    ({"logit_bias": {"-1": 1}}, "logit_bias"),
    ({"logit_bias": {"²": 1}}, "logit_bias"),
    ({"logit_bias": {"1": 101}}, "logit_bias"),
    ({"logit_bias": [1]}, "logit_bias"),
    ({"seed": 2**63}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": ""}, "stop[0]"),
    ({"stop": 7}, "stop"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": True}}, None),
    ({"stream": True, "stream_options": {"include": True}}, "stream_options.include"),
    ({"logprobs": 5}, "logprobs"),
    ({"top_logprobs": 5}, None),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].custom"),
    ({"tools": [{"type": "plugin", "function": {"name": "f"}}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": "has space"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 1}}]}, "tools[0].function.parameters"),
    ({"tools": [TOOL, TOOL]}, None),
    ({"tools": [{"type": "function", "function": {"name": f"f{i}"}} for i in range(129)]}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": "f"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": 5}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [7]}}},
        "tool_choice.allowed_tools.tools[0]",
    ),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"function_call": "auto"}, "function_call"),
    ({"audio": {"voice": "ash", "format": "wav"}}, "audio"),
    ({"modalities": ["audio"]}, "modalities[0]"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"moderation": {}}, "moderation"),
    ({"store": True}, "store"),
    ({"ratchet": {"trace": True}}, "ratchet.trace"),
    ({"ratchet": {"trce": True}}, "ratchet.trce"),
    ({"top_k": 3}, "top_k"),
    ({"max_token": 3}, "max_token"),
    ({"model": ""}, "model"),
    ({"model": None}, "model"),
    ({"model": ["scripted"]}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": {"role": "user"}}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [USER] * 10_000}, "messages"),
    ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [{"role": 5}]}, "messages[0].role"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": [USER, {"role": "function", "name": "f", "content": "x"}]}, "messages[1].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": "x", "name": 5}]}, "messages[0].name"),
    ({"messages": [{"role": "assistant"}]}, "messages[0].content"),
    ({"messages": [{"role": "assistant", "content": "x", "audio": {"id": "a"}}]}, "messages[0].audio"),
    ({"messages": [{"role": "assistant", "function_call": {}}]}, "messages[0].function_call"),
    ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [5]}]}, "messages[0].tool_calls[0]"),
    ({"messages": [{"role": "assistant", "tool_calls": CALLS["tool_calls"] * 2}]}, "messages[0].tool_calls[1].id"),
    ({"messages": [USER, RESULT]}, "messages[1].tool_call_id"),
    ({"messages": [CALLS, RESULT, RESULT]}, "messages[2].tool_call_id"),
    ({"messages": [CALLS, USER]}, "messages[1]"),
    ({"messages": [CALLS]}, "messages"),
    ({"messages": [CALLS, {"role": "tool", "content": "1"}]}, "messages[1].tool_call_id"),
]


@pytest.mark.parametrize(("given", "param"), REFUSED, ids=lambda value: json.dumps(value)[:60])
def test_a_wrong_parameter_is_named(server: Any, script: Any, given: Any, param: str | None) -> None:
    answer = server.post("/chat/completions", json={"model": "scripted", "messages": [USER], **given})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"]
    assert error["code"]
    assert not script.asked


def test_missing_parameters_and_messages_for_people(server: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="the parameter 'messages' is missing") as missing:
        server.openai.post("/chat/completions", body={"model": "scripted"}, cast_to=object)
    assert missing.value.code == "missing_required_parameter"
    with pytest.raises(openai.BadRequestError, match="'wizard' is no role; roles: system, developer, user"):
        server.chat(messages=[{"role": "wizard", "content": "x"}])
    with pytest.raises(openai.BadRequestError, match="there is no parameter 'max_token'") as unknown:
        server.chat(extra_body={"max_token": 5})
    assert unknown.value.code == "unknown_parameter"
    with pytest.raises(openai.NotFoundError, match="unknown model 'gpt-5'; known: scripted, reasoner"):
        server.chat(model="gpt-5")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("raised", "status", "said", "retry_after"),
    [
        (BadInputError("no room in the context"), 400, "no room in the context", None),
        (OverloadedError("the queue is full"), 429, "the queue is full", "1"),
        (GenerationError("out of memory"), 503, "out of memory", "1"),
        (CorruptFileError("an adapter is damaged"), 503, "an adapter is damaged", None),
        (MissingExtraError("this model", "local"), 503, "langgraph-ratchet\\[local\\]", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_a_model_raises_has_a_status_of_its_own(
    server: Any, script: Any, raised: Exception, status: int, said: str, retry_after: str | None, stream: bool
) -> None:
    script.says(raised)
    with pytest.raises(openai.APIStatusError, match=said) as error:
        server.chat(stream=stream)
    assert error.value.status_code == status
    assert error.value.response.headers.get("retry-after") == retry_after


def test_a_bug_is_a_500_that_says_nothing_about_the_inside(serving: Any, script: Any, caplog: Any) -> None:
    script.says(KeyError("/home/me/secret"))
    with serving(create_app(Catalogue({"scripted": PolicyChatModel(policy=script)}))) as server:
        answer = server.post("/chat/completions", json={"model": "scripted", "messages": [USER]})
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "secret" in caplog.text
        assert len(server.watched.faults) == 1  # the watch counts any 500 as a fault, which here is meant
        server.watched.faults.clear()


def test_routes_that_are_not_there(server: Any) -> None:
    for path, method, status in (("/nowhere", "GET", 404), ("/chat/completions", "GET", 405), ("/models", "POST", 405)):
        answer = server.http.request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_conversation_may_be_long_and_not_endless(server: Any, script: Any) -> None:
    asked = {"model": "scripted", "messages": [USER] * 2_000}
    assert server.post("/chat/completions", json=asked).status_code == 200
    asked["messages"] *= 5
    answer = server.post("/chat/completions", json=asked)
    assert answer.status_code == 400
    assert "10,000 messages; at most 2,000" in answer.json()["error"]["message"]


def test_a_body_that_is_not_an_object(server: Any) -> None:
    for body, code in (
        (b"", "invalid_json"),
        (b"[]", "invalid_type"),
        (b"nul", "invalid_json"),
        (b'"x"', "invalid_type"),
    ):
        answer = server.post("/chat/completions", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"scripted","model":"scripted","messages":[{"role":"user","content":"x"}]}',
        b'{"model":"scripted","messages":[{"role":"user","content":"x","content":"y"}]}',
        b'{"model":"scripted","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"scripted","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"scripted","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"model":"scripted","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
        b'{"model":"scripted","messages":[{"role":"user","content":"x"}],"tools":' + b"[" * 100 + b"]" * 100 + b"}",
        b'\xef\xbb\xbf{"model":"scripted","messages":[{"role":"user","content":"x"}]}',
    ],
    ids=["twice", "twice within", "lone surrogate", "not UTF-8", "NaN", "infinite", "deep", "byte order mark"],
)
def test_json_is_read_strictly(server: Any, script: Any, body: bytes) -> None:
    answer = server.post("/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert not script.asked


def test_a_number_of_5000_digits_is_only_a_wrong_number(server: Any) -> None:
    body = b'{"model":"scripted","messages":[{"role":"user","content":"x"}],"seed":1' + b"0" * 300 + b"}"
    answer = server.post("/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "seed")
    body = body.replace(b"0" * 300, b"0" * 5000)
    answer = server.post("/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_another_content_type_is_refused(server: Any, script: Any) -> None:
    # A page in a browser may send text/plain to this machine unasked, and application/json only if it is let.
    body = json.dumps({"model": "scripted", "messages": [USER]}).encode()
    for headers in ({"Content-Type": "text/plain"}, {}):
        answer = server.post("/chat/completions", content=body, headers=headers)
        assert answer.status_code == 415
    assert not script.asked
    answer = server.post("/chat/completions", content=body, headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status_code == 200


def test_a_body_of_10_megabytes_is_refused(server: Any, script: Any) -> None:
    body = json.dumps({"model": "scripted", "messages": [{"role": "user", "content": "x" * 10_000_000}]}).encode()
    headers = {"Content-Type": "application/json"}
    assert server.post("/chat/completions", content=body, headers=headers).status_code == 413
    parts = (body[at : at + 65536] for at in range(0, len(body), 65536))  # its length is not announced
    assert server.post("/chat/completions", content=parts, headers=headers).status_code == 413
    assert server.chat("still there").choices[0].message.content == "still there"
    assert len(script.asked) == 1


def test_a_body_that_never_ends_is_given_up(serving: Any, script: Any) -> None:
    app = create_app(Catalogue({"scripted": PolicyChatModel(policy=script)}), limits=Limits(body_seconds=0.2))
    with serving(app) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n")
        client.sendall(b"Content-Type: application/json\r\n\r\n{")
        answer = b""
        while part := client.recv(4096):
            answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"request_timeout"' in answer
