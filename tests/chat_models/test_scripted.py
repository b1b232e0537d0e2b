"""Models without weights: in a stream they say what they say at once."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langgraph_ratchet.chat_models.scripted import PolicyChatModel, ScriptedChatModel
from langgraph_ratchet.core.errors import BadInputError

CALLS = [{"name": "add", "args": {"a": 1}, "id": "1"}, {"name": "add", "args": {"a": "é"}, "id": "2"}]
BROKEN = {"name": "add", "args": "a = 1", "id": "3", "error": None, "type": "invalid_tool_call"}
REPLY = AIMessage(
    " Two  words,\nand \u3000 more.\n",
    tool_calls=CALLS,
    invalid_tool_calls=[BROKEN],
    additional_kwargs={"reasoning_content": "Hm."},
    response_metadata={"finish_reason": "tool_calls"},
    usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
)


def added(chunks: list[Any]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


def facts(message: AIMessage) -> dict[str, Any]:
    names = ("content", "tool_calls", "additional_kwargs", "response_metadata", "usage_metadata")
    invalid = [(call["name"], call["args"], call["id"]) for call in message.invalid_tool_calls]
    return {name: getattr(message, name) for name in names} | {"invalid": invalid}


async def test_a_stream_adds_up_to_the_reply() -> None:
    at_once = facts(ScriptedChatModel.of(REPLY).invoke("?"))
    assert at_once["content"] == REPLY.content
    assert at_once["response_metadata"]["model_name"] == "scripted"
    chunks = list(ScriptedChatModel.of(REPLY).stream("?"))
    assert [chunk.content for chunk in chunks[:5]] == [" Two", "  words,", "\nand", " \u3000 more.\n", ""]
    assert facts(added(chunks)) == at_once
    assert facts(added([chunk async for chunk in ScriptedChatModel.of(REPLY).astream("?")])) == at_once
    assert facts(added(list(ScriptedChatModel.of("").stream("?"))))["content"] == ""


async def test_a_policy_is_asked_n_times_and_told_everything() -> None:
    asked: list[dict[str, Any]] = []

    def policy(_messages: Any, kwargs: dict[str, Any]) -> AIMessage:
        asked.append(kwargs)
        return AIMessage(str(len(asked)))

    model = PolicyChatModel(policy=policy)
    result = await model.agenerate([[REPLY]], stop=["."], n=3, temperature=1.0)
    assert [each.text for each in result.generations[0]] == ["1", "2", "3"]
    assert asked == [{"n": 3, "temperature": 1.0, "stop": ["."]}] * 3
    assert model.invoke("?").text == "4"
    assert asked[-1] == {}


def test_what_a_script_raises_a_stream_raises() -> None:
    model = ScriptedChatModel.of("one", ValueError("two"))
    assert added(list(model.stream("?"))).text == "one"
    with pytest.raises(ValueError, match="two"):
        list(model.stream("?"))
    with pytest.raises(BadInputError, match="2 replies and was asked for one more"):
        list(model.stream("?"))
