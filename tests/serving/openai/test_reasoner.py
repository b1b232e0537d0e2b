"""The id `reasoner`: a chat completion that is a run of the whole graph."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue
from langgraph_ratchet.serving.reasoner import ReasonerChatModel
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

CALL = {"name": "calculator", "args": {"expression": "2 + 3"}, "id": "1"}
USAGE = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
LINES: list[str | AIMessage] = ["1. Add.", "direct", AIMessage("", tool_calls=[CALL]), "It is 5.", "5", "yes"]


def replays(lines: list[str | AIMessage]) -> Any:
    """A reply function that gives these lines one after another, again and again."""
    at = -1

    def say(_messages: Any, _kwargs: Any) -> AIMessage:
        nonlocal at
        at += 1
        line = lines[at % len(lines)]
        message = AIMessage(line) if isinstance(line, str) else line.model_copy(deep=True)
        message.usage_metadata = dict(USAGE)
        return message

    return say


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TraceStore:
    return TraceStore(f"sqlite:///{tmp_path_factory.mktemp('store') / 'traces.db'}")


@pytest.fixture(scope="module")
def module_server(serving: Any, script: Any, store: TraceStore) -> Iterator[Any]:
    catalogue = Catalogue({"scripted": PolicyChatModel(policy=script)}, tools=get_tools("calculator"), store=store)
    with serving(create_app(catalogue)) as server:
        yield server


def ask(server: Any, text: str = "2 + 3?", **given: Any) -> Any:
    return server.chat(text, model="reasoner", **given)


def test_it_answers_and_names_its_trace(server: Any, script: Any, store: TraceStore) -> None:
    script.reply = replays(LINES)
    reply = ask(server)
    assert (reply.model, reply.choices[0].message.content, reply.choices[0].finish_reason) == ("reasoner", "5", "stop")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (60, 12)
    said = reply.ratchet
    assert (said["outcome"], said["strategy"], "trace" in said) == ("answered", "direct", False)
    trace = store.trace(said["trace_id"])
    assert (trace.question.text, trace.answer, trace.tool_calls) == ("2 + 3?", "5", 1)


def test_it_gives_its_trace_if_asked(server: Any, script: Any, store: TraceStore) -> None:
    script.reply = replays(LINES)
    reply = ask(server, extra_body={"ratchet": {"trace": True}})
    trace = Trace.model_validate(reply.ratchet["trace"])
    assert trace == store.trace(reply.ratchet["trace_id"])
    assert [call.node for call in trace.calls] == ["plan", "select_strategy", "act", "act", "synthesize", "self_check"]
    *_, last = ask(server, extra_body={"ratchet": {"trace": True}}, stream=True)
    assert Trace.model_validate(last.ratchet["trace"]).answer == "5"


def test_a_stream_tells_the_progress_and_then_the_answer(server: Any, script: Any) -> None:
    script.reply = replays(LINES)
    chunks = list(ask(server, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]
    told = [getattr(delta, "reasoning_content", None) for delta in deltas]
    nodes = [said.splitlines()[0] for said in told if said]
    assert nodes[0] == "accept"
    assert nodes[-1] == "finish"
    assert "plan\nAdd.\n" in "".join(said or "" for said in told)
    assert "calculator({'expression': '2 + 3'}) → 5" in "".join(said or "" for said in told)
    assert "".join(delta.content or "" for delta in deltas) == "5"
    assert chunks[-2].ratchet["outcome"] == "answered"
    assert chunks[-1].usage.total_tokens == 72


def test_what_was_said_before_is_context(server: Any, script: Any, store: TraceStore) -> None:
    script.reply = replays(LINES)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "2 + 3?"},
    ]
    question = store.trace(ask(server, messages=messages).ratchet["trace_id"]).question
    assert (question.text, question.context) == ("2 + 3?", "system: Be brief.\n\nuser: Hello.\n\nassistant: Hi.")


def test_sampling_and_limits_reach_the_run(server: Any, script: Any) -> None:
    script.reply = replays(LINES)
    ask(server, temperature=0.5, seed=3)
    assert all(kwargs["temperature"] == 0.5 for _, kwargs in script.asked)
    assert len({kwargs["seed"] for _, kwargs in script.asked}) == len(script.asked)
    script.reply = replays(LINES)
    short = ask(server, max_completion_tokens=20)
    assert (short.choices[0].finish_reason, short.ratchet["outcome"]) == ("length", "out_of_tokens")


def test_a_model_that_fails_is_an_outcome(server: Any, script: Any) -> None:
    script.says(ValueError("the provider is down"))
    reply = ask(server)
    assert reply.ratchet["outcome"] == "model_failed"
    assert "the provider is down" in reply.ratchet["error"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "the reasoner cannot keep tools"),
        ({"stop": "."}, "cannot keep stop"),
        ({"n": 2}, "cannot keep n"),
        ({"logprobs": True}, "cannot keep logprobs, top_logprobs"),
        ({"response_format": {"type": "json_object"}}, "cannot keep response_format"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "must be a user's"),
        ({"messages": [{"role": "user", "content": " "}]}, "question is empty"),
        ({"messages": [{"role": "user", "content": "x" * 200_000}]}, "200,000 characters"),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_it_cannot_keep_is_refused(server: Any, script: Any, given: Any, said: str, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        ask(server, **given, stream=stream)
    assert not script.asked


def test_a_server_that_records_nothing_has_no_traces(serving: Any, script: Any) -> None:
    script.reply = replays(LINES)
    with serving(
        create_app(Catalogue({"scripted": PolicyChatModel(policy=script)}, tools=get_tools("calculator")))
    ) as server:
        assert ask(server).choices[0].message.content == "5"
        with pytest.raises(openai.BadRequestError, match="records no runs"):
            ask(server, extra_body={"ratchet": {"trace": True}})


def test_it_is_a_chat_model_without_a_server_too(script: Any, tmp_path: Path) -> None:
    script.reply = replays(LINES)
    model = ReasonerChatModel.over(PolicyChatModel(policy=script), get_tools("calculator"), None)
    assert model.invoke("2 + 3?").text == "5"
