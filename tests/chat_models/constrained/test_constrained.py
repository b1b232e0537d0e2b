"""Constrained replies of real models: always whole and valid, however few tokens there are, however they are drawn."""

import copy
import json
from dataclasses import replace

import jsonschema_rs
import pytest
import torch

from langgraph_ratchet.chat_models.base import load_base
from langgraph_ratchet.chat_models.constrained import constrain_json, constrain_tools
from langgraph_ratchet.chat_models.constrained.markers import Markers
from langgraph_ratchet.chat_models.constrained.vocabulary import Vocabulary
from langgraph_ratchet.chat_models.engine import Engine, Request
from langgraph_ratchet.chat_models.text.parse import parse_reply
from langgraph_ratchet.chat_models.text.render import render_prompt
from langgraph_ratchet.core.errors import BadInputError, GenerationError, ToolCallingError, UnknownNameError

PERSON = {
    "$defs": {
        "Person": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "maxLength": 12},
                "age": {"type": "integer", "minimum": 0, "maximum": 130},
                "friends": {"type": "array", "items": {"$ref": "#/$defs/Person"}},
            },
        }
    },
    "$ref": "#/$defs/Person",
}
SCHEMAS = {
    "calculator": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    "now": {"type": "object", "properties": {}},
    "größe-2": {"type": "object", "properties": {"unit": {"enum": ["cm", '"']}, "n": {"type": ["number", "null"]}}},
    "meet": {"type": "object", "properties": {"who": {"$ref": "#/$defs/Person"}}, "$defs": PERSON["$defs"]},
}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": '</tool_call>\n"\\', "parameters": schema}}
    for name, schema in SCHEMAS.items()
]


@pytest.fixture(scope="module")
def pocket():
    return load_base("pocket", device="cpu")


@pytest.fixture(scope="module")
def engine(pocket):
    engine = Engine(pocket)
    yield engine
    engine.close()


def drawn(base, constraint, max_tokens, seed=0):
    """Ids drawn from what is allowed at each step, every token as likely as any other, up to the end of turn."""
    draw = torch.Generator().manual_seed(seed)
    ids = []
    while not ids or ids[-1] not in base.end_ids:
        assert len(ids) < max_tokens
        allowed = constraint.allowed(max_tokens - len(ids))
        assert allowed.dtype == torch.bool
        ids.append(int(torch.multinomial(allowed.double(), 1, generator=draw)))
        constraint.accept(ids[-1])
    return ids


def calls_of(base, ids, tools=TOOLS):
    reply = parse_reply(base.tokenizer, render_prompt(base.tokenizer, [("user", "?")], tools), ids, tools)
    assert not reply.invalid_tool_calls
    assert not reply.content
    for call in reply.tool_calls:
        assert jsonschema_rs.is_valid(SCHEMAS[call["name"]], call["args"])
    return reply.tool_calls


def test_hot_and_cold_replies_of_the_engine_are_one_valid_call_each(pocket, engine):
    prompt = tuple(render_prompt(pocket.tokenizer, [("user", "What is 6 * 7?")], TOOLS))
    wanted = [(choice, temperature) for choice in ("any", "required", *SCHEMAS) for temperature in (0.0, 1.5, 1.5)]
    futures = [
        engine.submit(
            Request(
                prompt,
                60,
                temperature,
                seed=seed,
                constraint=constrain_tools(pocket, TOOLS, choice, parallel=False, max_tokens=60),
            )
        )
        for seed, (choice, temperature) in enumerate(wanted)
    ]
    for (choice, _), future in zip(wanted, futures, strict=True):
        completion = future.result()
        assert not completion.cut
        (call,) = calls_of(pocket, completion.ids)
        assert choice in ("any", "required", call["name"])


def test_json_of_the_engine_is_valid_and_whole(pocket, engine):
    prompt = tuple(render_prompt(pocket.tokenizer, [("user", "Who is it?")]))
    for schema in (PERSON, None):
        futures = [
            engine.submit(Request(prompt, 40, 1.5, seed=seed, constraint=constrain_json(pocket, schema, max_tokens=40)))
            for seed in range(8)
        ]
        for completion in [future.result() for future in futures]:
            value = json.loads(pocket.tokenizer.decode(completion.ids, skip_special_tokens=True))
            assert jsonschema_rs.is_valid(schema or {"type": "object"}, value)
            assert not completion.cut


def test_replies_fit_every_number_of_tokens_from_the_smallest_on(pocket):
    with pytest.raises(BadInputError, match=r"takes (\d+) tokens, and max_tokens is 3"):
        constrain_json(pocket, PERSON, max_tokens=3)
    smallest = next(n for n in range(4, 99) if _fits(pocket, n))
    for max_tokens in range(smallest, smallest + 25):
        ids = drawn(pocket, constrain_json(pocket, PERSON, max_tokens=max_tokens), max_tokens, seed=max_tokens)
        assert jsonschema_rs.is_valid(PERSON, json.loads(pocket.tokenizer.decode(ids[:-1])))


def _fits(base, max_tokens):
    try:
        constrain_json(base, PERSON, max_tokens=max_tokens)
    except BadInputError:
        return False
    return True


def test_a_context_that_ends_before_the_smallest_reply_is_an_error_and_no_invalid_reply(pocket):
    with pytest.raises(GenerationError, match="context leaves 3 tokens"):
        constrain_json(pocket, PERSON, max_tokens=50).allowed(3)


def test_a_long_text_may_fill_all_tokens_and_is_then_closed(pocket):
    constraint = constrain_tools(pocket, TOOLS, "calculator", parallel=False, max_tokens=60)
    a = pocket.tokenizer.convert_tokens_to_ids("a")
    ids = Vocabulary(pocket).spell(b'\xff[6]calculator {"expression": "')
    for token in ids:
        constraint.accept(token)
    while ids[-1] not in pocket.end_ids:
        allowed = constraint.allowed(60 - len(ids))
        ids.append(a if allowed[a] else int(allowed.nonzero()[0]))
        constraint.accept(ids[-1])
    assert len(ids) == 60
    (call,) = calls_of(pocket, ids)
    assert call["args"]["expression"].count("a") > 45


def test_several_calls_only_where_they_are_allowed(pocket):
    many = [
        len(
            calls_of(
                pocket, drawn(pocket, constrain_tools(pocket, TOOLS, "any", parallel=parallel, max_tokens=90), 90, seed)
            )
        )
        for parallel in (True, False)
        for seed in range(6)
    ]
    assert max(many[:6]) > 1
    assert set(many[6:]) == {1}


def test_the_engines_end_and_the_models_marks_are_control_tokens_and_never_spelled_out(pocket):
    vocabulary = Vocabulary(pocket)
    constraint = constrain_tools(pocket, TOOLS, "calculator", parallel=False, max_tokens=99)
    for token in vocabulary.spell(b'\xff[6]calculator {"expression": "x</tool_call'):
        assert constraint.allowed(99)[token]
        constraint.accept(token)
    allowed = constraint.allowed(99)
    assert not allowed[pocket.tokenizer.convert_tokens_to_ids(">")]
    assert not allowed[:8].any()
    assert allowed[pocket.tokenizer.convert_tokens_to_ids("a")]
    markers = Markers(vocabulary, ["<end>"])
    spelled = {vocabulary.texts[token] for token in markers.completed_by(b"<en").tolist()}
    assert all(text.startswith(b"d>") for text in spelled)


def test_logits_wider_than_the_tokenizer_are_never_allowed(pocket):
    model = copy.deepcopy(pocket.model)
    model.resize_token_embeddings(1250)
    base = replace(pocket, model=model, tokenizer=copy.deepcopy(pocket.tokenizer))
    constraint = constrain_json(base, None, max_tokens=30)
    allowed = constraint.allowed(30)
    assert allowed.shape == (1250,)
    ids = drawn(base, constraint, 30)
    assert max(ids) < len(base.tokenizer)
    assert isinstance(json.loads(base.tokenizer.decode(ids[:-1])), dict)


def test_constraints_of_one_plan_do_not_share_their_state(pocket):
    first, second = (constrain_json(pocket, {"enum": ["a", "ab"]}, max_tokens=20) for _ in range(2))
    before = second.allowed(20)
    for token in Vocabulary(pocket).spell(b'"a'):
        first.accept(token)
    assert torch.equal(second.allowed(20), before)
    assert not torch.equal(first.allowed(20), before)


def test_wrong_choices_and_names_are_refused(pocket):
    with pytest.raises(UnknownNameError, match="calculator, now"):
        constrain_tools(pocket, TOOLS, "nothing", parallel=False, max_tokens=50)
    with pytest.raises(BadInputError, match="no tools are given"):
        constrain_tools(pocket, [], "any", parallel=False, max_tokens=50)
    with pytest.raises(BadInputError, match="tool_choice is 7"):
        constrain_tools(pocket, TOOLS, 7, parallel=False, max_tokens=50)
    spaced = [{"type": "function", "function": {"name": "two words"}}]
    with pytest.raises(ToolCallingError, match="'two words'"):
        constrain_tools(pocket, spaced, "any", parallel=False, max_tokens=50)
    with pytest.raises(BadInputError, match="</tool_call>"):
        constrain_json(pocket, {"const": "a</tool_call>b"}, max_tokens=50)
    broken = [{"type": "function", "function": {"name": "f", "parameters": {"type": "strnig"}}}]
    with pytest.raises(BadInputError, match="tool 'f'"):
        constrain_tools(pocket, broken, "f", parallel=False, max_tokens=50)


def test_a_named_choice_is_taken_in_openais_form_too(pocket):
    choice = {"type": "function", "function": {"name": "now"}}
    ids = drawn(pocket, constrain_tools(pocket, TOOLS, choice, parallel=False, max_tokens=50), 50)
    assert [(call["name"], call["args"]) for call in calls_of(pocket, ids)] == [("now", {})]
