"""Prompts as the model sees them, and what other people's text cannot do to them."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_ratchet.chat_models.text.render import (
    render_prompt,
    render_reply,
    renders_tools,
    require_tool_calling,
)
from langgraph_ratchet.core.errors import BadInputError, ToolCallingError

CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Calculates.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
    },
}


def conversation(user: str = "What is 1 + 1?", tool: str = "2") -> list:
    call = {"name": "calculator", "args": {"expression": "1 + 1"}, "id": "call_1"}
    return [
        SystemMessage("Be brief."),
        HumanMessage(user),
        AIMessage("", tool_calls=[call]),
        ToolMessage(tool, tool_call_id="call_1"),
    ]


def test_renders_what_the_template_says(tokenizer):
    text = tokenizer.decode(render_prompt(tokenizer, conversation(), [CALCULATOR]))
    assert "calculator(expression: string)" in text
    assert '<tool_call>calculator {"expression": "1 + 1"}</tool_call>' in text
    assert text.endswith("2<|im_end|>\n<|im_start|>assistant\n")


def test_arguments_keep_their_order(tokenizer):
    properties = {name: {"type": "string"} for name in ("zeta", "alpha", "mid")}
    shift = {"type": "function", "function": {"name": "shift", "parameters": {"properties": properties}}}
    text = tokenizer.decode(render_prompt(tokenizer, [HumanMessage("?")], [shift]))
    assert "shift(zeta: string, alpha: string, mid: string)" in text


def test_dictionaries_and_objects_render_alike(tokenizer):
    rows = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "1 + 1?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "calculator", "arguments": '{"expression": "1 + 1"}'},
                }
            ],
        },
        {"role": "tool", "content": "2", "tool_call_id": "call_1"},
    ]
    assert render_prompt(tokenizer, rows, [CALCULATOR]) == render_prompt(tokenizer, conversation(), [CALCULATOR])


@pytest.mark.parametrize("place", ["user", "tool", "parts", "history", "arguments", "description"])
def test_text_cannot_forge_a_turn(tokenizer, place, forged, control_ids):
    call = {"name": "calculator", "args": {"expression": "1", forged: forged}, "id": "call_1"}
    split = [{"type": "text", "text": forged[:8]}, {"type": "text", "text": forged[8:]}]
    plain = {"name": "calculator", "args": {"expression": "1", "other": "1"}, "id": "call_1"}
    asked = [HumanMessage("Why?")]
    described = {**CALCULATOR["function"], "parameters": {"properties": {forged: {"type": forged}}}}
    clean_described = {**CALCULATOR["function"], "parameters": {"properties": {"x": {"type": "string"}}}}
    attack, clean = {
        "user": (conversation(user=forged), conversation()),
        "tool": (conversation(tool=forged), conversation()),
        "parts": ([HumanMessage(split)], asked),
        "history": ([*asked, AIMessage(forged), *asked], [*asked, AIMessage("So."), *asked]),
        "arguments": ([*asked, AIMessage("", tool_calls=[call])], [*asked, AIMessage("", tool_calls=[plain])]),
        "description": (asked, asked),
    }[place]
    tools, clean_tools = [CALCULATOR], [CALCULATOR]
    if place == "description":
        tools = [{"type": "function", "function": described}]
        clean_tools = [{"type": "function", "function": clean_described}]
    ids, expected = render_prompt(tokenizer, attack, tools), render_prompt(tokenizer, clean, clean_tools)
    assert control_ids(ids) == control_ids(expected)
    assert "18<|im_end|>" in tokenizer.decode(ids)


def test_a_role_is_one_of_those_that_exist(tokenizer):
    from langchain_core.messages import ChatMessage

    with pytest.raises(BadInputError, match="known: system, developer, user, assistant, tool"):
        render_prompt(tokenizer, [ChatMessage(role="im_end", content="x")])


def test_surrogates_and_nul_are_rendered_clean(tokenizer):
    text = tokenizer.decode(render_prompt(tokenizer, [HumanMessage("a\ud800b\x00c")]))
    assert "a\ufffdbc" in text


def test_reply_continues_the_prompt(tokenizer):
    reply = AIMessage("So:", tool_calls=[{"name": "calculator", "args": {"expression": "é"}, "id": "call_2"}])
    prompt_ids, completion_ids = render_reply(tokenizer, conversation(), [CALCULATOR], reply)
    assert prompt_ids == render_prompt(tokenizer, conversation(), [CALCULATOR])
    assert tokenizer.decode(completion_ids) == 'So:<tool_call>calculator {"expression": "é"}</tool_call><|im_end|>'


def test_a_template_that_rewrites_history_is_refused(tokenizer):
    import copy

    rewriting = copy.deepcopy(tokenizer)
    rewriting.chat_template = "{{ messages | length }}" + tokenizer.chat_template
    with pytest.raises(BadInputError, match="preserves prefixes"):
        render_reply(rewriting, conversation(), None, AIMessage("x"))


def test_a_malformed_call_is_shown_to_the_model_as_it_wrote_it(tokenizer):
    broken = {"name": "calculator", "args": '{"expression": ', "id": "1", "error": "?", "type": "invalid_tool_call"}
    ids = render_prompt(tokenizer, [HumanMessage("?"), AIMessage("Well.", invalid_tool_calls=[broken])])
    assert 'Well.\n{"expression": <|im_end|>' in tokenizer.decode(ids)


def test_no_messages_is_an_error(tokenizer):
    with pytest.raises(BadInputError, match="no messages"):
        render_prompt(tokenizer, [])


def test_a_template_that_refuses_roles_is_an_error(tokenizer):
    import copy

    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('only users') }}"
    with pytest.raises(BadInputError, match="only users"):
        render_prompt(strict, [HumanMessage("x")])


def test_tool_calling_needs_template_and_response_template(tokenizer):
    import copy

    assert renders_tools(tokenizer)
    require_tool_calling(tokenizer, "tiny")
    deaf, mute = copy.deepcopy(tokenizer), copy.deepcopy(tokenizer)
    deaf.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    mute.response_template = None
    for broken in (deaf, mute):
        with pytest.raises(ToolCallingError, match="'tiny' cannot call tools"):
            require_tool_calling(broken, "tiny")
