"""`/v1/chat/completions`: a request's parameters to a chat model, and its reply to a response or a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration
from starlette.requests import Request
from starlette.responses import Response

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.serving.catalogue import Catalogue, Served
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.metrics import observation
from langgraph_ratchet.serving.openai.body import read_object
from langgraph_ratchet.serving.openai.chat_request import ChatRequest
from langgraph_ratchet.serving.openai.errors import bad_request
from langgraph_ratchet.serving.openai.messages import read_messages
from langgraph_ratchet.serving.openai.models import find
from langgraph_ratchet.serving.openai.parameters import read_parameters
from langgraph_ratchet.serving.openai.responses import (
    Body,
    ChoiceStream,
    Head,
    add_usages,
    chat_response,
    dumps,
)
from langgraph_ratchet.serving.openai.streaming import EventStream, answered, merged
from langgraph_ratchet.serving.openai.tools import tool_arguments
from langgraph_ratchet.serving.reasoner import ReasonerChatModel


async def chat_completions(request: Request, catalogue: Catalogue, limits: Limits) -> Response:
    """Answers a chat request; see `chat_request` and `responses` for what it takes and gives."""
    asked = read_parameters(ChatRequest, await read_object(request, limits))
    served = await find(catalogue, asked.model)
    messages = read_messages(asked.messages, limits.messages)
    arguments = call_arguments(asked, served, limits)
    if asked.stream:
        return EventStream(_events(served, asked, messages, arguments), limits)
    replies = await answered(request.receive, limits, _replies(served, asked, messages, arguments))
    return Response(dumps(chat_response(served, replies)), media_type="application/json")


def call_arguments(asked: ChatRequest, served: Served, limits: Limits) -> dict[str, Any]:
    """Keyword arguments for the model: only what the request gives, so that the model's own defaults hold.

    Raises:
        RequestError: more choices or tokens than the server's limits allow, or arguments that exclude each other.
    """
    if (asked.n or 1) > limits.choices:
        raise bad_request(f"n is {asked.n}; at most {limits.choices} choices are made", "n", "above_max_value")
    if (asked.n or 1) > 1 and isinstance(served.model, ReasonerChatModel):
        raise bad_request("the reasoner cannot keep n: ask it several times", "n")
    arguments = {**served.arguments, **asked.sampling()}
    if asked.most_tokens is not None:
        if limits.tokens is not None and asked.most_tokens > limits.tokens:
            field = "max_completion_tokens" if asked.max_tokens is None else "max_tokens"
            raise bad_request(
                f"{field} is {asked.most_tokens:,}; the limit is {limits.tokens:,}", field, "above_max_value"
            )
        arguments["max_tokens"] = asked.most_tokens
    arguments |= tool_arguments(asked)
    if asked.response_format is not None and asked.response_format.type != "text":
        arguments["response_format"] = asked.response_format.as_json()
    if asked.logprobs:
        arguments |= {"logprobs": True, "top_logprobs": asked.top_logprobs or 0}
    if asked.ratchet is not None and asked.ratchet.trace:
        if not isinstance(served.model, ReasonerChatModel):
            raise bad_request(f"only the reasoner's runs have traces; {served.id!r} is a model", "ratchet.trace")
        arguments["trace"] = True
    return arguments


async def _replies(
    served: Served, asked: ChatRequest, messages: list[BaseMessage], arguments: dict[str, Any]
) -> list[AIMessage]:
    wanted = asked.n or 1
    if wanted > 1:
        arguments = {**arguments, "n": wanted}
    result = await served.model.agenerate([messages], stop=asked.stop, **arguments)
    replies = [each.message for each in result.generations[0] if isinstance(each, ChatGeneration)]
    if len(replies) != wanted:
        raise BadInputError(f"{served.id!r} gives {len(replies)} choices for a call, not {wanted}: ask with n=1")
    return [reply for reply in replies if isinstance(reply, AIMessage)]


async def _events(
    served: Served, asked: ChatRequest, messages: list[BaseMessage], arguments: dict[str, Any]
) -> AsyncGenerator[Body, None]:
    """The chunks of a stream, in OpenAI's order."""
    head = Head(served, "chatcmpl", "chat.completion.chunk")
    unknown_yet = {"usage": None} if asked.with_usage else {}
    choices = [ChoiceStream(index) for index in range(asked.n or 1)]
    streams = [
        served.model.astream(messages, stop=asked.stop, **_of_choice(arguments, choice))
        for choice in range(len(choices))
    ]
    opened = [False] * len(choices)
    async with aclosing(merged(streams)) as chunks:
        async for index, chunk in chunks:
            choice = choices[index]
            if not opened[index]:  # not before the model has begun: until then an error has a status of its own
                opened[index] = True
                yield head.body([choice.first()], **unknown_yet)
            if chunk is None:
                yield head.body([choice.last()], **unknown_yet, **choice.extension)
            elif shown := choice.read(chunk):
                yield head.body([shown], **unknown_yet)
    usage = add_usages(choice.usage for choice in choices)
    observation().usage(usage)
    if asked.with_usage:
        yield head.body([], usage=usage)


def _of_choice(arguments: dict[str, Any], choice: int) -> dict[str, Any]:
    """Arguments of one of several choices: with one seed for all, all would be the same.

    The seeds are those that `ChatTransformers` takes for `n` replies, so that a stream says what one answer says.
    """
    seed = arguments.get("seed")
    return {**arguments, "seed": derive_seed("reply", seed, choice)} if seed is not None and choice else arguments
