"""What the proxy records: exact calls where the server gives ids, and runs as apps make them."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.trace import Outcome

USER = {"role": "user", "content": "What is it?"}
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
KNOWN = Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64)


def ask(server: Any, *messages: dict[str, Any], run: str | None = None, **given: Any) -> httpx.Response:
    body = {"model": "base-model", "messages": list(messages) or [USER], **given}
    headers = {} if run is None else {"X-Ratchet-Run": run}
    response: httpx.Response = server.http.post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == 200
    return response


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_exact_where_the_server_gives_ids(proxy: Callable[..., Any], stream: bool) -> None:
    server = proxy(fingerprint=KNOWN)
    ask(server, stream=stream, temperature=0.5, seed=7, max_tokens=20, tools=TOOLS)
    (trace,) = server.recorded()
    (call,) = trace.calls
    assert call.exact
    assert call.tokens.prompt_ids == (1, 5, 7)
    assert call.tokens.completion_ids == (11, 12, 13, 14, 2)
    assert call.tokens.logprobs == (-0.25, -0.5, -0.125, -1.0, -0.0625)
    assert call.tokens.fingerprint == KNOWN
    assert call.messages == (USER,)
    assert call.tools == tuple(TOOLS)
    assert call.reply == {"role": "assistant", "content": "The answer is 42."}
    assert (call.sampling.temperature, call.sampling.seed, call.sampling.max_tokens) == (0.5, 7, 20)
    assert (call.usage.input_tokens, call.usage.output_tokens) == (3, 5)
    assert trace.question.text == "What is it?"
    assert trace.answer == "The answer is 42."
    assert trace.outcome is Outcome.ANSWERED
    assert (trace.model, trace.model_version, trace.confidence) == ("base-model", None, None)


def test_ids_of_a_model_that_is_not_known_are_kept_and_equal_no_models(proxy: Callable[..., Any]) -> None:
    server = proxy()
    ask(server)
    (trace,) = server.recorded()
    assert trace.calls[0].exact
    assert not trace.calls[0].tokens.fingerprint.same_base(KNOWN)
    assert "base-model" in trace.calls[0].tokens.fingerprint.base


@pytest.mark.parametrize("ids", ["ignores", "refuses"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_not_exact_elsewhere(proxy: Callable[..., Any], vllm: Any, ids: str, stream: bool) -> None:
    vllm.ids = ids
    server = proxy(fingerprint=KNOWN)
    ask(server, stream=stream)
    (trace,) = server.recorded()
    assert not trace.calls[0].exact
    assert trace.answer == "The answer is 42."
    assert (trace.calls[0].usage is None) == stream, "a stream without usage has none"


def test_each_choice_is_a_call_and_the_first_is_the_answer(proxy: Callable[..., Any]) -> None:
    server = proxy()
    ask(server, n=3)
    (trace,) = server.recorded()
    assert [call.key.index for call in trace.calls] == [0, 1, 2]
    assert all(call.usage.output_tokens == 5 for call in trace.calls)


def test_a_run_goes_on_until_its_tools_have_answered(proxy: Callable[..., Any], vllm: Any) -> None:
    server = proxy()
    vllm.tool_calls, vllm.finish_reason = [TOOL_CALL], "tool_calls"
    ask(server)
    vllm.tool_calls, vllm.finish_reason = None, "stop"
    other = {"role": "user", "content": "Something else?"}
    ask(server, other)
    asked = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
    ask(server, USER, asked, {"role": "tool", "tool_call_id": "call_1", "content": "a thing"})
    one, two = sorted(server.recorded(), key=lambda trace: len(trace.calls))
    assert one.question.text == "Something else?"
    assert [call.reply.get("tool_calls") for call in two.calls] == [[TOOL_CALL], None]
    assert two.question.text == "What is it?"
    assert (two.outcome, two.answer) == (Outcome.ANSWERED, "The answer is 42.")


def test_tool_calls_that_a_server_counts_anew_do_not_join_runs(proxy: Callable[..., Any], vllm: Any) -> None:
    server = proxy()
    vllm.tool_calls, vllm.finish_reason = [TOOL_CALL], "tool_calls"
    ask(server)
    vllm.tool_calls, vllm.finish_reason = None, "stop"
    asked = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "a thing"}
    ask(server, {"role": "user", "content": "Of another app"}, asked, result)
    traces = server.recorded()
    assert [len(trace.calls) for trace in traces] == [1, 1]
    abandoned = next(trace for trace in traces if trace.question.text == "What is it?")
    assert (abandoned.outcome, abandoned.answer) == (Outcome.OUT_OF_TIME, None)
    assert "tools" in abandoned.error


def test_an_app_may_name_its_runs(proxy: Callable[..., Any]) -> None:
    server = proxy()
    for run in ("a", "b", "a"):
        ask(server, {"role": "user", "content": f"Of {run}"}, run=run)
    traces = server.recorded()
    assert sorted((trace.question.text, len(trace.calls)) for trace in traces) == [("Of a", 2), ("Of b", 1)]
    assert all(trace.id.startswith("trace_") for trace in traces), "clients do not choose ids"


def test_a_named_run_ends_when_it_is_silent(proxy: Callable[..., Any], store: Any) -> None:
    import time

    server = proxy(silence_seconds=0.1)
    ask(server, run="a")
    deadline = time.monotonic() + 10
    while not store.traces(limit=None):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ask(server, run="a")
    assert len(server.recorded()) == 2


@pytest.mark.parametrize(
    ("reason", "outcome", "answer"),
    [("length", Outcome.OUT_OF_TOKENS, None), ("stop", Outcome.ANSWERED, "The answer is 42.")],
)
def test_the_outcome_says_how_the_reply_ended(
    proxy: Callable[..., Any], vllm: Any, reason: str, outcome: Outcome, answer: str | None
) -> None:
    vllm.finish_reason = reason
    server = proxy()
    ask(server)
    (trace,) = server.recorded()
    assert (trace.outcome, trace.answer) == (outcome, answer)


@pytest.mark.parametrize(
    ("messages", "question"),
    [
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}],
                }
            ],
            "a\nb",
        ),
        ([USER, {"role": "assistant", "content": "Well"}, {"role": "user", "content": "Go on"}], "Go on"),
        ([{"role": "system", "content": "Only this"}], "Only this"),
        ([{"role": "user", "content": ""}], "(no text)"),
        ([{"role": "user", "content": "nul \x00 and \ud800".encode("utf-8", "replace").decode()}], "nul  and ?"),
    ],
)
def test_the_question_is_what_the_user_said_last(
    proxy: Callable[..., Any], messages: list[dict[str, Any]], question: str
) -> None:
    server = proxy()
    ask(server, *messages)
    (trace,) = server.recorded()
    assert trace.question.text == question


def test_odd_requests_and_answers_are_recorded_or_counted_and_always_passed(
    proxy: Callable[..., Any], vllm: Any
) -> None:
    server = proxy()
    odd = [
        {"messages": None},
        {"messages": "text"},
        {"messages": [1, None]},
        {"tools": {"a": 1}},
        {"temperature": "hot"},
    ]
    for given in odd:
        assert server.http.post(
            "/v1/chat/completions", json={"model": "base-model", "messages": [USER], **given}
        ).is_success
    vllm.fails = (
        200,
        {"choices": [{"message": "text"}, 5, {"message": {"tool_calls": 7}, "logprobs": {"content": 3}}]},
    )
    assert server.http.post("/v1/chat/completions", json={"model": "base-model", "messages": [USER]}).is_success
    vllm.fails = (200, ["no", "object"])
    assert server.http.post("/v1/chat/completions", json={"model": "base-model", "messages": [USER]}).json() == [
        "no",
        "object",
    ]
    assert len(server.recorded()) + server.recorder.lost >= len(odd) + 1
