"""`/v1/completions`: texts that are gone on with, by the models that can."""

import asyncio
import codecs
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from langgraph_ratchet.chat_models.calls.completion import TextCompletion
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.ids import derive_seed
from langgraph_ratchet.serving.catalogue import Catalogue, Served
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.metrics import observation
from langgraph_ratchet.serving.openai.body import read_object
from langgraph_ratchet.serving.openai.completion_request import CompletionRequest
from langgraph_ratchet.serving.openai.errors import bad_request
from langgraph_ratchet.serving.openai.models import find
from langgraph_ratchet.serving.openai.parameters import read_parameters
from langgraph_ratchet.serving.openai.responses import Body, Head, add_usages, dumps
from langgraph_ratchet.serving.openai.streaming import EventStream, answered, merged


async def completions(request: Request, catalogue: Catalogue, limits: Limits) -> Response:
    """Answers a completion request; see `completion_request` for what it takes."""
    asked = read_parameters(CompletionRequest, await read_object(request, limits))
    work = _prepare(asked, await find(catalogue, asked.model), limits)
    if asked.stream:
        return EventStream(work.events(), limits)
    body = await answered(request.receive, limits, work.response())
    return Response(dumps(body), media_type="application/json")


def _prepare(asked: CompletionRequest, served: Served, limits: Limits) -> "_Work":
    if not isinstance(served.model, ChatTransformers):
        raise bad_request(f"{served.id!r} completes conversations only: ask /v1/chat/completions", "model")
    prompts, each = asked.prompts(), asked.best_of or asked.n or 1
    if len(prompts) * each > limits.choices:
        said = f"{len(prompts)} prompts with {each} completions are asked; at most {limits.choices} in all are made"
        raise bad_request(
            said, "prompt" if len(prompts) > 1 else "best_of" if asked.best_of else "n", "above_max_value"
        )
    if limits.tokens is not None and asked.max_tokens > limits.tokens:
        said = f"max_tokens is {asked.max_tokens:,}; the limit is {limits.tokens:,}"
        raise bad_request(said, "max_tokens", "above_max_value")
    arguments = {**served.arguments, **asked.sampling(), "max_tokens": asked.max_tokens, "stop": asked.stop}
    if asked.logprobs is not None:
        arguments |= {"logprobs": True, "top_logprobs": asked.logprobs}
    return _Work(asked, served, served.model, prompts, arguments)


@dataclass(frozen=True)
class _Work:
    """A request that has been checked."""

    asked: CompletionRequest
    served: Served
    model: ChatTransformers
    prompts: list[str | list[int]]
    arguments: dict[str, Any]

    async def response(self) -> Body:
        """The whole response: for each prompt its choices, prompt by prompt."""
        drawn = self.asked.best_of or self.asked.n or 1
        tasks = [
            asyncio.ensure_future(self.model.acomplete(prompt, **self.arguments, n=drawn)) for prompt in self.prompts
        ]
        try:
            made = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        choices: list[Body] = []
        usages: list[Body | None] = []
        for prompt, found in zip(self.prompts, made, strict=True):
            usages.append(add_usages(each.usage for each in found))
            if self.asked.best_of is not None:
                found = sorted(found, key=_mean_logprob, reverse=True)[: self.asked.n or 1]
            before = await self._before(prompt)
            for each in found:
                logprobs = _LogprobsTeller().tell(each.metadata.get("logprobs"))
                choices.append(_choice(len(choices), before + each.text, logprobs, each.finish_reason))
        usage = _total(usages)
        observation().usage(usage)
        return self._head.body(choices, usage=usage)

    async def events(self) -> AsyncGenerator[Body, None]:
        """The chunks of a stream, of all choices as they come."""
        head = self._head
        each = self.asked.n or 1
        places = [(prompt, choice) for prompt in self.prompts for choice in range(each)]
        streams = [self.model.astream_completion(prompt, **self._of_choice(choice)) for prompt, choice in places]
        tellers = [_LogprobsTeller() for _ in streams]
        begun: set[int] = set()
        ends: list[TextCompletion | None] = [None] * len(streams)
        async with aclosing(merged(streams)) as pieces:
            async for index, piece in pieces:
                if piece is None:
                    continue
                before = "" if index in begun else await self._before(places[index][0])
                begun.add(index)
                logprobs = tellers[index].tell(piece.logprobs)
                ends[index] = piece.whole
                reason = piece.whole.finish_reason if piece.whole else None
                yield head.body([_choice(index, before + piece.text, logprobs, reason)])
        usages = [end.usage if end else None for end in ends]
        usage = _total([add_usages(usages[at : at + each]) for at in range(0, len(usages), each)])
        observation().usage(usage)
        if self.asked.with_usage:
            yield head.body([], usage=usage)

    @property
    def _head(self) -> Head:
        return Head(self.served, "cmpl", "text_completion")

    def _of_choice(self, choice: int) -> dict[str, Any]:
        seed = self.arguments.get("seed")
        derived = {"seed": derive_seed("reply", seed, choice)} if seed is not None and choice else {}
        return self.arguments | derived

    async def _before(self, prompt: str | list[int]) -> str:
        """The prompt's text, if it is to stand before the completion."""
        if not self.asked.echo:
            return ""
        if isinstance(prompt, str):
            return prompt
        return str(await asyncio.to_thread(lambda: self.model.base.tokenizer.decode(prompt)))


def _choice(index: int, text: str, logprobs: Body | None, reason: str | None) -> Body:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


def _mean_logprob(completion: TextCompletion) -> float:
    """What `best_of` compares; a completion without a token comes last."""
    logprobs = completion.metadata["tokens"]["logprobs"]
    return sum(logprobs) / len(logprobs) if logprobs else float("-inf")


def _total(usages: list[Body | None]) -> Body:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: sum(usage[name] for usage in usages if usage) for name in names}


class _LogprobsTeller:
    """Tells log-probabilities in the shape of this route, as lists side by side; one for each choice."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = 0

    def tell(self, told: Body | None) -> Body | None:
        """Those of the next tokens."""
        if told is None:
            return None
        tokens = told["content"]
        offsets = []
        for token in tokens:  # a character may be spread over tokens
            offsets.append(self._offset)
            self._offset += len(self._decoder.decode(bytes(token["bytes"])))
        return {
            "tokens": [token["token"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": [
                {top["token"]: top["logprob"] for top in token["top_logprobs"]} | {token["token"]: token["logprob"]}
                for token in tokens
            ],
            "text_offset": offsets,
        }
