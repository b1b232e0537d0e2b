"""What a call is given: taken over the fields of the model, or refused with a clear message before anything runs."""

import pickle
import time

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel, ValidationError
from tests.chat_models.scripted_engine import ScriptedTransformers

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.errors import BadInputError, GenerationError, OverloadedError


@tool
def calculator(expression: str) -> str:
    """Calculates."""
    return expression


@tool
def clock() -> str:
    """Tells the time."""
    return "noon"


class Joke(BaseModel):
    setup: str
    punchline: str


@pytest.fixture(scope="module")
def model(model_folder) -> ChatTransformers:
    return ChatTransformers(model=str(model_folder), device="cpu", max_tokens=8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": -1}, "temperature=-1"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"temperature": "hot"}, "temperature='hot'"),
        ({"max_tokens": -1}, "max_tokens=-1"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"max_tokens": 2.5}, "max_tokens=2.5"),
        ({"max_tokens": True}, "max_tokens=True"),
        ({"n": 1e9}, "n=1000000000.0"),
        ({"n": 10**9}, "n=1000000000"),
        ({"n": 0}, "n=0"),
        ({"top_p": 0}, "top_p=0"),
        ({"top_p": 1.1}, "top_p=1.1"),
        ({"presence_penalty": 2.1}, "presence_penalty=2.1"),
        ({"frequency_penalty": -3}, "frequency_penalty=-3"),
        ({"logit_bias": {"5": 101}}, r"logit_bias\['5'\]=101|logit_bias\[5\]=101"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {10**6: 1}}, "logit_bias names token 1000000"),
        ({"seed": "one"}, "seed='one'"),
        ({"stop": [""]}, r"stop\[0\]=''"),
        ({"stop": [1]}, r"stop\[0\]=1"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs=21"),
        ({"top_logprobs": 2}, "needs logprobs=True"),
        ({"timeout": 0}, "timeout=0"),
        ({"model": 3}, "model=3"),
        ({"tools": "calculator"}, "tools='calculator'"),
        ({"tools": [3]}, "one of the tools cannot be used"),
        ({"tools": [calculator, calculator]}, "two tools have the name 'calculator'"),
        ({"tools": [calculator], "tool_choice": "calc"}, "tool_choice='calc' cannot be used; known: .*calculator"),
        ({"tools": [calculator], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": "any"}, "no tools are offered"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "has no schema"),
        ({"response_format": "json"}, "response_format='json'"),
        ({"temprature": 1.0}, "unknown argument 'temprature'.*temperature"),
    ],
)
def test_bad_arguments_are_clear_errors(model, arguments, message):
    with pytest.raises(BadInputError, match=message):
        model.invoke("?", **arguments)
    with pytest.raises(BadInputError, match=message):
        list(model.stream("?", **arguments))


@pytest.mark.parametrize("fields", [{"temperature": -1}, {"n": 0}, {"top_p": 0}, {"stop": [""]}])
def test_fields_are_checked_when_the_model_is_made(fields):
    with pytest.raises(ValidationError):
        ChatTransformers(**fields)


def test_arguments_of_openai_without_a_meaning_here_are_taken(model):
    plain = model.invoke("?").text
    assert model.invoke("?", user="me", service_tier="auto", stream=False, store=True, strict=True).text == plain


def test_none_is_as_if_it_were_not_given(model):
    names = ("temperature", "top_p", "seed", "max_tokens", "stop", "n", "logit_bias", "tools", "tool_choice")
    assert model.invoke("?", **dict.fromkeys(names)).text == model.invoke("?").text


def test_arguments_reach_the_engine(model_folder):
    model = ScriptedTransformers(
        model=str(model_folder), device="cpu", policy=lambda prompt: "Yes.<|im_end|>", top_p=0.5, seed=3, stop=["no"]
    )
    model.invoke("?", temperature=0.7, presence_penalty=1, frequency_penalty=-1, logit_bias={"7": -5}, max_tokens=9)
    (request,) = model.scripted.requests
    assert (request.temperature, request.top_p, request.seed, request.max_tokens) == (0.7, 0.5, 3, 9)
    assert (request.presence_penalty, request.frequency_penalty, request.logit_bias) == (1, -1, {7: -5})
    assert request.stopped is not None


def test_several_replies_to_one_prompt(model):
    hot = model.bind(temperature=1.5, seed=3)
    first = hot.invoke("Say something.")
    (replies,) = model.generate([[HumanMessage("Say something.")]], n=4, temperature=1.5, seed=3).generations
    texts = [reply.text for reply in replies]
    assert texts[0] == first.text == hot.invoke("Say something.", n=4).text
    assert len(set(texts)) > 1
    again = model.generate([[HumanMessage("Say something.")]], n=4, temperature=1.5, seed=3).generations[0]
    assert [reply.text for reply in again] == texts


def test_log_probabilities_are_openais(model):
    message = model.invoke("?", logprobs=True, top_logprobs=3)
    content = message.response_metadata["logprobs"]["content"]
    tokens = message.response_metadata["tokens"]
    ids = [token for token in tokens["completion_ids"] if token not in model.base.end_ids]
    assert [entry["logprob"] for entry in content] == tokens["logprobs"][: len(ids)]
    assert all(len(entry["top_logprobs"]) == 3 for entry in content)
    for entry in content:  # greedy: the likeliest is the one that was taken
        assert entry["top_logprobs"][0]["bytes"] == entry["bytes"]
        assert set(entry["top_logprobs"][0]) == {"token", "logprob", "bytes"}
    written = b"".join(bytes(entry["bytes"]) for entry in content)
    assert written.decode("utf-8", "replace") == model.base.tokenizer.decode(ids)
    assert "logprobs" not in model.invoke("?").response_metadata


def test_bytes_of_a_character_that_several_tokens_share(model_folder):
    model = ScriptedTransformers(model=str(model_folder), device="cpu", policy=lambda prompt: "表<|im_end|>")
    content = model.invoke("?", logprobs=True).response_metadata["logprobs"]["content"]
    assert len(content) > 1
    assert b"".join(bytes(entry["bytes"]) for entry in content).decode() == "表"
    assert content[0]["token"] == "\\xe8"


@pytest.mark.parametrize(
    "choice", ["any", "required", True, "clock", {"type": "function", "function": {"name": "clock"}}]
)
def test_a_tool_choice_is_kept(model, choice):
    for seed in range(3):
        message = model.bind_tools([calculator, clock], tool_choice=choice).invoke(
            "?", temperature=1.5, seed=seed, max_tokens=48
        )
        names = {call["name"] for call in message.tool_calls}
        assert names
        assert names <= ({"clock"} if choice not in ("any", "required", True) else {"clock", "calculator"})
        assert message.response_metadata["finish_reason"] == "tool_calls"
        assert not message.invalid_tool_calls


def test_no_tool_is_called_when_none_may_be(model_folder):
    text = 'So.<tool_call>calculator {"expression": "1"}</tool_call><|im_end|>'
    model = ScriptedTransformers(model=str(model_folder), device="cpu", policy=lambda prompt: text)
    message = model.invoke("?", tools=[calculator], tool_choice="none")
    assert not message.tool_calls
    (request,) = model.scripted.requests
    opening = model.base.tokenizer.convert_tokens_to_ids("<tool_call>")
    assert request.logit_bias[opening] < -1e6  # so that the real engine does not come to write it


def test_one_call_where_one_may_be(model_folder):
    text = '<tool_call>clock {}</tool_call><tool_call>calculator {"expression": "1"}</tool_call><|im_end|>'
    model = ScriptedTransformers(model=str(model_folder), device="cpu", policy=lambda prompt: text)
    bound = model.bind_tools([calculator, clock])
    assert [call["name"] for call in bound.invoke("?").tool_calls] == ["clock", "calculator"]
    one = bound.invoke("?", parallel_tool_calls=False)
    assert [call["name"] for call in one.tool_calls] == ["clock"]
    assert one.usage_metadata["output_tokens"] < bound.invoke("?").usage_metadata["output_tokens"]


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_structured_output(model, method):
    structured = model.model_copy(update={"temperature": 1.5, "seed": 1, "max_tokens": 64})
    assert isinstance(structured.with_structured_output(Joke, method=method).invoke("?"), Joke)
    read = structured.with_structured_output(Joke.model_json_schema(), method=method).invoke("?")
    assert set(read) == {"setup", "punchline"}
    raw = structured.with_structured_output(Joke, method=method, include_raw=True, strict=True).invoke("?")
    assert (type(raw["raw"]), type(raw["parsed"]), raw["parsing_error"]) == (AIMessage, Joke, None)


def test_structured_output_is_checked_when_it_is_bound(model):
    with pytest.raises(BadInputError, match="unknown method 'magic'"):
        model.with_structured_output(Joke, method="magic")
    with pytest.raises(BadInputError, match="needs a schema"):
        model.with_structured_output(method="json_schema")


def test_json_or_a_call(model_folder):
    """With tools and a response format, as `create_agent` has it, the reply is one or the other."""
    call, joke = (
        AIMessage("", tool_calls=[{"name": "clock", "args": {}, "id": "1"}]),
        '{"setup": "a", "punchline": "b"}',
    )
    for reply in (call, AIMessage(joke)):
        model = ScriptedTransformers(model=str(model_folder), device="cpu", policy=lambda prompt, reply=reply: reply)
        message = model.invoke("?", tools=[clock], response_format=Joke)
        assert (bool(message.tool_calls), message.text) == (bool(reply.tool_calls), reply.text)


def test_a_reply_that_takes_too_long_is_given_up(model_folder):
    model = ScriptedTransformers(
        model=str(model_folder), device="cpu", policy=lambda prompt: "word " * 200, pace=lambda: time.sleep(0.02)
    )
    with pytest.raises(GenerationError, match="timeout=0.1 s"):
        model.invoke("?", timeout=0.1)
    with pytest.raises(GenerationError, match="timeout=0.1 s"):
        list(model.stream("?", timeout=0.1))
    assert all(request.future.cancelled() for request in model.scripted.requests)


def test_a_full_queue_is_asked_again(model_folder, base):
    model = ScriptedTransformers(model=str(model_folder), device="cpu", policy=lambda prompt: "Yes.<|im_end|>")
    submit, refusals = model.scripted.submit, iter([True, True])

    def busy(request):
        if next(refusals, False):
            raise OverloadedError("full")
        return submit(request)

    model.scripted.submit = busy
    assert model.invoke("?", max_retries=2).text == "Yes."
    refusals = iter([True])
    with pytest.raises(OverloadedError):
        model.invoke("?")


def test_a_promotion_changes_the_cache_key_of_calls_that_name_the_champion(model, adapter_folders):
    keys = {model._get_llm_string(adapter=str(folder)) for folder in adapter_folders} | {model._get_llm_string()}
    assert len(keys) == 3
    hashes = {model._get_invocation_params(adapter=str(folder))["adapter_hash"] for folder in adapter_folders}
    assert len(hashes) == 2
    assert None not in hashes


def test_tokens_are_counted_with_the_models_own_tokenizer(model):
    messages = [HumanMessage("What is 1 + 1?")]
    prompt = model.invoke(messages).usage_metadata["input_tokens"]
    assert model.get_num_tokens_from_messages(messages) == prompt
    assert model.get_num_tokens_from_messages(messages, tools=[calculator]) > prompt
    assert model.get_num_tokens("<|im_end|>") > 1  # in a message it is text


def test_a_model_can_be_pickled(model):
    whole = model.invoke("?")
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301  # what was pickled here
    assert copy.invoke("?").text == whole.text


def test_an_agent_is_told_what_the_model_can_do(model):
    assert model.profile["structured_output"]
    assert model.profile["tool_calling"]
    assert model.profile["max_input_tokens"] == 512
    assert ChatTransformers(model="hf:nobody/nothing").profile is None
