"""`/v1/completions` as the `openai` SDK uses it, on the pocket model."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue


@pytest.fixture(scope="module")
def pocket() -> ChatTransformers:
    return ChatTransformers(model="pocket", device="cpu")


@pytest.fixture(scope="module")
def server(serving: Any, pocket: ChatTransformers) -> Iterator[Any]:
    catalogue = Catalogue({"scripted": ScriptedChatModel.of()}, base=pocket, reasoner=False)
    with serving(create_app(catalogue)) as server:
        yield server


def complete(server: Any, prompt: Any = "What is 2 + 3?", model: str = "pocket", **given: Any) -> Any:
    return server.openai.completions.create(model=model, prompt=prompt, **given)


def test_a_text_is_gone_on_with(server: Any, pocket: ChatTransformers) -> None:
    reply = complete(server, max_tokens=8)
    (choice,) = reply.choices
    (expected,) = pocket.complete("What is 2 + 3?", max_tokens=8)
    assert (choice.text, choice.finish_reason, choice.logprobs) == (expected.text, expected.finish_reason, None)
    assert (reply.model, reply.object) == ("pocket", "text_completion")
    assert reply.usage.completion_tokens == expected.usage["output_tokens"] <= 8
    assert complete(server).usage.completion_tokens <= 16  # as OpenAI has it, where nothing is asked


def test_prompts_of_every_form(server: Any, pocket: ChatTransformers) -> None:
    ids = pocket.get_token_ids("What is 2 + 3?")
    single = complete(server, max_tokens=6)
    assert complete(server, ids, max_tokens=6).choices[0].text == single.choices[0].text
    several = complete(server, ["What is 2 + 3?", "Name a"], max_tokens=6, n=2)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    assert several.choices[0].text == several.choices[1].text == single.choices[0].text
    assert several.choices[2].text == complete(server, "Name a", max_tokens=6).choices[0].text
    prompts = complete(server, [ids, pocket.get_token_ids("Name a")], max_tokens=6)
    assert prompts.usage.prompt_tokens == single.usage.prompt_tokens + len(pocket.get_token_ids("Name a"))


def test_echo_sampling_and_stop(server: Any) -> None:
    given = {"max_tokens": 12, "temperature": 1.3, "seed": 5}
    plain = complete(server, **given).choices[0].text
    assert complete(server, **given).choices[0].text == plain
    assert complete(server, **given, echo=True).choices[0].text == "What is 2 + 3?" + plain
    assert complete(server, **given, n=2).choices[1].text != plain
    stop = plain[len(plain) // 2]
    assert complete(server, **given, stop=stop).choices[0].text == plain[: plain.index(stop)]
    assert complete(server, **given, stop=[stop], user="u").choices[0].finish_reason == "stop"
    ids = [choice.text for choice in complete(server, **given, logit_bias={"300": 100}).choices]
    assert ids != [plain]
    penalties = {"top_p": 0.9, "presence_penalty": 0.5, "frequency_penalty": 0.5}
    assert complete(server, **given, **penalties).choices[0].text is not None


def test_best_of_gives_the_likeliest(server: Any) -> None:
    given = {"max_tokens": 5, "temperature": 1.5, "seed": 1, "logprobs": 1}
    drawn = complete(server, **given, n=4)
    means = [sum(each.logprobs.token_logprobs) / len(each.logprobs.token_logprobs) for each in drawn.choices]
    best = complete(server, **given, best_of=4)
    assert len(best.choices) == 1
    assert best.choices[0].text == drawn.choices[means.index(max(means))].text
    assert best.usage.completion_tokens == drawn.usage.completion_tokens


def test_logprobs(server: Any) -> None:
    (choice,) = complete(server, max_tokens=6, logprobs=2, temperature=1.0, seed=3).choices
    told = choice.logprobs
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) > 1
    for token, logprob, top, offset in zip(
        told.tokens, told.token_logprobs, told.top_logprobs, told.text_offset, strict=True
    ):
        assert top[token] == logprob <= 0
        assert 2 <= len(top) <= 3
        assert choice.text[offset:].startswith(token) or "\\x" in token


def test_a_stream_says_what_one_answer_says(server: Any) -> None:
    given = {"prompt": ["What is 2 + 3?", "Name a"], "max_tokens": 6, "n": 2, "temperature": 1.2, "seed": 9}
    whole = complete(server, **given, logprobs=0)
    chunks = list(complete(server, **given, logprobs=0, stream=True, stream_options={"include_usage": True}))
    *pieces, usage = chunks
    assert (usage.choices, usage.usage) == ([], whole.usage)
    for choice in whole.choices:
        mine = [piece.choices[0] for piece in pieces if piece.choices[0].index == choice.index]
        assert "".join(piece.text for piece in mine) == choice.text
        assert [piece.finish_reason for piece in mine if piece.finish_reason] == [choice.finish_reason]
        offsets = [offset for piece in mine if piece.logprobs for offset in piece.logprobs.text_offset]
        assert offsets == choice.logprobs.text_offset
    (echoed, *_) = complete(server, max_tokens=2, echo=True, stream=True)
    assert echoed.choices[0].text.startswith("What is 2 + 3?")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prompt": None}, "give a text"),
        ({"prompt": 5}, "give a text"),
        ({"prompt": []}, "give a text"),
        ({"prompt": [[]]}, "give a text"),
        ({"prompt": ["a", 1]}, "give a text"),
        ({"prompt": [True]}, "give a text"),
        ({"prompt": [10**7]}, "10000000"),
        ({"prompt": [-1]}, "-1"),
        ({"prompt": ""}, "empty"),
        ({"prompt": "x " * 100_000}, "context|room"),
        ({"prompt": ["a"] * 17}, "at most 16"),
        ({"suffix": "."}, "suffix"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"best_of": 17}, "at most 16"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": 1, "echo": True}, "echo"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": "scripted"}, "completes conversations only"),
        ({"extra_body": {"messages": []}}, "no parameter 'messages'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_done_is_refused(server: Any, given: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        complete(server, **({"prompt": "x"} | given))
